/* Descriptions of charts of any content: refused with a sentence, or read, and then printed and read the same again. */
#include "chart/chart.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Arena arena;
    Buf a, b;
    Why why = {0};
    ChartSpec spec, again;
    arena_init(&arena, NULL, 64 << 20);
    buf_init(&a, CHART_SPEC_MAX);
    buf_init(&b, CHART_SPEC_MAX);
    Err e = chart_spec_parse(str_of((const char *)data, len), &arena, &spec, &why);
    check(e == OK || why.text[0]);
    if (e == OK && spec.steps && spec.step_ms) {
        chart_spec_print(&spec, &a);
        check(chart_spec_parse(buf_view(&a), &arena, &again, &why) == OK);
        chart_spec_print(&again, &b);
        check(str_eq(buf_view(&a), buf_view(&b)));
    }
    buf_done(&a);
    buf_done(&b);
    arena_done(&arena);
    return 0;
}
