/* What a WriteRequest of 1.0, or of 2.0 where the first byte says so, decodes to is encoded and must decode to the same again. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void same(const SeriesItem *a, const SeriesItem *b)
{
    check(labels_eq(a->labels, b->labels));
    check(labels_has(a->labels, LABEL_NAME));
    for (u32 i = 1; i < a->labels.len; i++)
        check(str_cmp(a->labels.at[i - 1].name, a->labels.at[i].name) < 0);
    check(a->samples_len == b->samples_len && a->hists_len == b->hists_len &&
          a->exemplars_len == b->exemplars_len);
    for (u32 i = 0; i < a->samples_len; i++)
        check(a->samples[i].t == b->samples[i].t && f64_bits(a->samples[i].v) == f64_bits(b->samples[i].v));
    for (u32 i = 0; i < a->hists_len; i++)
        check(a->hist_t[i] == b->hist_t[i] && histogram_eq(a->hists[i], b->hists[i]));
    for (u32 i = 0; i < a->exemplars_len; i++)
        check(labels_eq(a->exemplars[i].labels, b->exemplars[i].labels) &&
              a->exemplars[i].t == b->exemplars[i].t);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Arena a;
    Buf b;
    Why why;
    arena_init(&a, NULL, 16 << 20);
    buf_init(&b, 16 << 20);
    WriteDecoded d = {0}, e = {0};
    bool is_v2 = len && data[0] == 'v';
    Str body = str_skip(str_of((const char *)data, len), is_v2);
    Err err = (is_v2 ? remote_write2_decode : remote_write_decode)(body, &a, &d, &why);
    if (err == OK || err == E_INVALID) {
        check((err == OK) == (d.refused == 0));
        u32 mixed = 0;
        for (u32 i = 0; i < d.series_len; i++)
            mixed += d.series[i].samples_len && d.series[i].hists_len;
        if (is_v2 && !mixed) {
            check(remote_write2_encode(d.series, d.series_len, NULL, NULL, &a, &b, &why) == OK ||
                  arena_over(&a));
            Err again = remote_write2_decode(buf_view(&b), &a, &e, &why);
            check(again == OK || arena_over(&a));
            check(again != OK || d.series_len == e.series_len);
            for (u32 i = 0; again == OK && i < d.series_len; i++)
                same(&d.series[i], &e.series[i]);
            buf_clear(&b);
        }
        remote_write_encode(d.series, d.series_len, d.metadata, d.metadata_len, &b);
        check(remote_write_decode(buf_view(&b), &a, &e, &why) == OK);
        check(d.series_len == e.series_len && d.metadata_len == e.metadata_len);
        for (u32 i = 0; i < d.series_len; i++)
            same(&d.series[i], &e.series[i]);
    } else {
        check(err == E_PARSE || err == E_LIMIT);
        check(why.text[0]);
    }
    arena_done(&a);
    buf_done(&b);
    return 0;
}
