/* Shared by the exposition targets: the first byte chooses options. Each page is read twice, the second time with a cache's
 * expectations (right and wrong ones), which may not change what comes out. */
#pragma once
#include "wire/wire.h"

static void fuzz_labels_are_sound(Labels l)
{
    check(l.len > 0 && labels_get(l, LABEL_NAME).len > 0);
    for (u32 i = 0; i < l.len; i++) {
        check(l.at[i].name.len && l.at[i].value.len);
        check(str_is_utf8(l.at[i].name) && str_is_utf8(l.at[i].value));
        check(i == 0 || str_cmp(l.at[i - 1].name, l.at[i].name) < 0);
    }
}

static u64 fuzz_read(Str page, ExpoFormat f, const ExpoOptions *o, bool expect, Err *ret)
{
    Arena a;
    Why why = {0};
    ExpoItem it;
    u64 hash = 0, items = 0;
    Str last = S("up");
    arena_init(&a, NULL, 16 << 20);
    ExpoParser *p = expo_new(page, f, o, &a);
    while ((*ret = expo_next(p, &it, &why)) == OK) {
        check(++items <= page.len * 4 + 16);
        hash = hash * 31 + it.kind;
        if (it.kind != EXPO_SERIES && it.kind != EXPO_HISTOGRAM)
            continue;
        if ((*ret = expo_labels(p, &it, &why)) != OK)
            break;
        fuzz_labels_are_sound(it.labels);
        hash = (hash * 31 + labels_hash(it.labels)) * 31 + f64_bits(it.value) * (it.kind == EXPO_SERIES) +
               (u64)it.t;
        check(it.exemplars_len <= COUNT_OF(it.exemplars));
        if (it.kind == EXPO_HISTOGRAM)
            check(histogram_check(it.hist, NULL) == OK);
        if (expect) {
            /* Every second time what was just seen (often wrong), else what comes next if the page repeats itself. */
            last = items & 1 ? it.series_text : last;
            expo_expect(p, (u32)last.len, expo_hash(last, page.len), page.len);
        }
    }
    check(*ret == E_NOT_FOUND || why.text[0]);
    arena_done(&a);
    return hash;
}

static inline int fuzz_expo(const u8 *data, size_t len, ExpoFormat f)
{
    if (!len)
        return 0;
    ExpoOptions o = {
        .classic_too = data[0] & 1, .convert_nhcb = data[0] & 2, .no_created_series = data[0] & 4};
    Str page = str_of((const char *)data + 1, len - 1);
    Err plain, cached;
    u64 h = fuzz_read(page, f, &o, false, &plain);
    if (f != EXPO_PROTOBUF) {
        u64 c = fuzz_read(page, f, &o, true, &cached);
        check(plain == cached && h == c);
    }
    return 0;
}
