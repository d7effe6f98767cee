/* The table of functions, made from the list in func.h. */
#include "metrics/promql/func.h"

#define V PROM_VECTOR
#define M PROM_MATRIX
#define C PROM_SCALAR
#define T PROM_STRING

#define ARGS_LEN(...) (sizeof((int[]){0, ##__VA_ARGS__}) / sizeof(int) - 1)
#define FUNC(fn, ret, var, exp, ...)                                                                         \
    {.name = #fn,                                                                                            \
     .args = {__VA_ARGS__},                                                                                  \
     .args_len = ARGS_LEN(__VA_ARGS__),                                                                      \
     .variadic = (var),                                                                                      \
     .returns = (ret),                                                                                       \
     .experimental = (exp),                                                                                  \
     .id = FN_##fn},

static const FuncDef table[] = {PROM_FUNCS(FUNC)};
#undef V
#undef M
#undef C
#undef T

const FuncDef *prom_func_find(Str name)
{
    size_t lo = 0, hi = COUNT_OF(table);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = str_cmp(str_c(table[mid].name), name);
        if (c == 0)
            return &table[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const FuncDef *prom_funcs(u32 *ret_len)
{
    *ret_len = COUNT_OF(table);
    return table;
}

const char *prom_type_name(PromType t)
{
    static const char *const names[] = {"none", "scalar", "instant vector", "range vector", "string"};
    return names[t];
}
