/* Any bytes are refused or parsed; what parses prints to a text that parses to the same print. */
#include "metrics/promql/promql.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void selector_and_metric(Str text, Arena *a)
{
    Matchers m;
    Labels l;
    Why why = {0};
    if (promql_parse_selector(text, a, &m, &why) == OK)
        for (u32 i = 0; i < m.len; i++)
            matcher_done((Matcher *)&m.at[i]);
    promql_parse_metric(text, a, &l, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
    Arena a;
    Buf one, two;
    Json j;
    Node *n, *again;
    Why why = {0};
    u32 pos[2] = {0};
    if (len < 1 || len > 20000)
        return 0;
    Str text = {(const char *)at + 1, len - 1};
    u32 features = at[0] & 31;
    arena_init(&a, NULL, 64 << 20);
    if (promql_parse(text, features, &a, &n, pos, &why) == OK) {
        buf_init(&one, 16 << 20);
        buf_init(&two, 16 << 20);
        promql_print(n, &one);
        if (!buf_over(&one)) {
            Err e = promql_parse(buf_view(&one), features, &a, &again, NULL, &why);
            check(e == OK);
            promql_print(again, &two);
            check(str_eq(buf_view(&one), buf_view(&two)));
            promql_done(again);
        }
        buf_clear(&two);
        promql_pretty(n, &two);
        buf_clear(&two);
        js_init(&j, &two);
        promql_ast_json(n, &j);
        promql_done(n);
        buf_done(&one);
        buf_done(&two);
    } else {
        check(why.text[0] != '\0');
        check(pos[0] <= pos[1] && pos[0] <= text.len);
    }
    selector_and_metric(text, &a);
    arena_done(&a);
    return 0;
}
