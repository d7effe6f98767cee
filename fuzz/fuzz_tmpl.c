/* Any text as a template over a small data set: no crash, no runaway. */
#include "text/tmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static TvPair labels[] = {{STR_INIT("a"), {.kind = TV_STR, .u.s = STR_INIT("b")}}};
    static Tv items[] = {{.kind = TV_INT, .u.i = 1}, {.kind = TV_F64, .u.f = 2.5}, {.kind = TV_NIL}};
    TvPair root[] = {{S("D"), {.kind = TV_DURATION, .u.i = 5}},
                     {S("L"), tv_list(items, 3)},
                     {S("M"), tv_map(labels, 1)},
                     {S("T"), {.kind = TV_TIME, .u.time = {5, NULL}}}};
    Tv dot = tv_map(root, 4);
    dot.u.map.is_any = true;
    TmplSet *set = tmpl_set_new(NULL, 0);
    Arena arena;
    arena_init(&arena, NULL, 8 << 20);
    Buf out;
    buf_init(&out, 1 << 16);
    Why why;
    TmplRun run = {.steps_max = 20000, .out_max = 1 << 16, .missing_key_zero = size & 1, .html = size & 2};
    tmpl_exec_text(set, str_of((const char *)data, MIN(size, 4096)), dot, &run, &arena, &out, &why);
    buf_done(&out);
    arena_done(&arena);
    tmpl_set_free(set);
    return 0;
}
