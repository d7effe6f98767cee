/* Prometheus's blocks: what is written is read back bit for bit, the peer's bytes are understood, and broken ones are said to be. */
#include "engine_help.h"

#include "metrics/blocks/blocks.h"
#include "metrics/promql/memsource.h"

static u32 rnd(u32 n)
{
    return (u32)(random_u64() % n);
}

/* ---- chunks ---- */

static f64 rnd_value(f64 last)
{
    static const f64 odd[] = {0, -0.0, 1e308, -1e-308, 5e-324, __builtin_inf(), -__builtin_inf()};
    switch (rnd(8)) {
    case 0:
        return odd[rnd(COUNT_OF(odd))];
    case 1:
        return stale_nan();
    case 2:
        return f64_from_bits(random_u64());
    case 3:
        return f64_from_bits(NORMAL_NAN_BITS);
    case 4:
        return last;
    default:
        return last + rnd(1000);
    }
}

static void rnd_times(i64 *t, u32 n)
{
    static const i64 bases[] = {0, 1700000000337, -5000, INT64_MIN / 2};
    t[0] = bases[rnd(COUNT_OF(bases))];
    for (u32 i = 1, wild = rnd(3); i < n; i++)
        t[i] = t[i - 1] + 1 + (wild == 0 ? 14999 : wild == 1 ? 14990 + rnd(20) : (i64)rnd(1u << rnd(31)));
}

static void floats_round_trip(void **state)
{
    Arena a;
    Buf b;
    Why why = {0};
    arena_init(&a, NULL, 0);
    buf_init(&b, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        i64 t[200];
        f64 v[200];
        u32 n = 1 + rnd(200), at = 0;
        rnd_times(t, n);
        for (u32 i = 0; i < n; i++)
            v[i] = rnd_value(i ? v[i - 1] : 0);
        while (at < n) {
            ChunkKind kind;
            ChunkSamples c;
            arena_reset(&a);
            buf_clear(&b);
            u32 took = chunk_encode(t + at, v + at, NULL, n - at, &b, &kind);
            assert_int_equal(took, MIN(n - at, 120));
            assert_int_equal(kind, CHUNK_XOR);
            assert_ok(chunk_decode(kind, buf_view(&b), &a, &c, &why), &why);
            assert_int_equal(c.n, took);
            assert_memory_equal(c.t, t + at, took * 8);
            assert_memory_equal(c.v, v + at, took * 8);
            at += took;
        }
    }
    arena_done(&a);
    buf_done(&b);
}

/* Grows like a counter inside one layout, changes layout, restarts, is stale, a gauge, now and then. */
static Histogram *rnd_hist(Arena *a, const Histogram *last)
{
    Histogram *h = arena_new(a, Histogram);
    bool anew = !last || histogram_is_stale(last) || rnd(20) == 0;
    if (rnd(25) == 0) {
        *h = (Histogram){.sum = stale_nan(), .is_int = !last || last->is_int};
        return h;
    }
    if (anew) {
        bool custom = rnd(3) == 0;
        h->is_int = rnd(2);
        h->hint = rnd(4) ? HIST_UNKNOWN_RESET : HIST_GAUGE;
        h->schema = custom ? HIST_SCHEMA_CUSTOM : (i32)rnd(13) - 4;
        h->zero_threshold = custom ? 0 : (f64[]){0, 0x1p-128, 0.001, 0x1p-243, 0x1p11}[rnd(5)];
        for (u32 i = 0, sides = custom ? 1 : 2; i < sides; i++) {
            HistSpan *s = arena_array(a, HistSpan, 3);
            u32 spans = rnd(4), n = 0;
            for (u32 k = 0; k < spans; k++)
                n += (s[k] = (HistSpan){(i32)rnd(4) - (k || custom ? 0 : 3), 1 + rnd(3)}).length;
            if (i)
                h->neg_spans = s, h->neg_spans_len = spans, h->neg_len = n;
            else
                h->pos_spans = s, h->pos_spans_len = spans, h->pos_len = n;
        }
        if (custom) {
            h->custom_len = 30;
            h->custom = arena_array(a, f64, 30);
            for (u32 k = 0; k < 30; k++)
                h->custom[k] = k * 0.125 - 1 + (k % 7 == 3 ? 1e-9 : 0);
        }
    } else {
        *h = *last;
    }
    h->pos = arena_array(a, f64, h->pos_len + 1);
    h->neg = arena_array(a, f64, h->neg_len + 1);
    h->count = 0;
    bool restart = !anew && rnd(15) == 0;
    for (u32 i = 0; i < h->pos_len; i++)
        h->count += h->pos[i] =
            (anew || restart ? 0 : last->pos[i]) + (h->is_int ? rnd(100) : rnd(100) / 8.0);
    for (u32 i = 0; i < h->neg_len; i++)
        h->count += h->neg[i] =
            (anew || restart ? 0 : last->neg[i]) + (h->is_int ? rnd(100) : rnd(100) / 8.0);
    if (h->schema != HIST_SCHEMA_CUSTOM)
        h->count += h->zero_count = (anew || restart ? 0 : last->zero_count) + rnd(5);
    h->sum = rnd(1000) / 3.0;
    if (h->hint != HIST_GAUGE)
        h->hint = rnd(50) ? HIST_UNKNOWN_RESET : HIST_RESET;
    return h;
}

/* Bit for bit, but for hints (the format has its own) and for markers, of which only the sum is kept. */
static void assert_same_hist(const Histogram *want, const Histogram *got, bool is_first)
{
    Histogram a = *want, b = *got;
    if (histogram_is_stale(want)) {
        assert_true(histogram_is_stale(got) && want->is_int == got->is_int);
        return;
    }
    if (want->hint == HIST_GAUGE || want->hint == HIST_RESET)
        assert_int_equal(got->hint, want->hint);
    else
        assert_int_equal(got->hint, is_first ? HIST_UNKNOWN_RESET : HIST_NO_RESET);
    a.hint = b.hint = 0;
    assert_true(histogram_eq(&a, &b));
}

static void histograms_round_trip(void **state)
{
    Arena a, read;
    Buf b;
    Why why = {0};
    arena_init(&a, NULL, 0);
    arena_init(&read, NULL, 0);
    buf_init(&b, 1 << 20);
    u32 chunks = 0;
    for (int round = 0; round < 300; round++) {
        const Histogram *h[300];
        i64 t[300];
        f64 v[300] = {0};
        arena_reset(&a);
        rnd_times(t, 300);
        for (u32 i = 0; i < 300; i++) {
            h[i] = rnd_hist(&a, i ? h[i - 1] : NULL);
            assert_ok(histogram_is_stale(h[i]) ? OK : histogram_check(h[i], &why), &why);
        }
        for (u32 at = 0, took; at < 300; at += took, chunks++) {
            ChunkKind kind;
            ChunkSamples c;
            buf_clear(&b);
            arena_reset(&read);
            took = chunk_encode(t + at, v + at, h + at, 300 - at, &b, &kind);
            assert_ok(chunk_decode(kind, buf_view(&b), &read, &c, &why), &why);
            assert_int_equal(c.n, took);
            assert_memory_equal(c.t, t + at, took * 8);
            for (u32 i = 0; i < took; i++)
                assert_same_hist(h[at + i], c.h[i], !i);
        }
    }
    assert_true(chunks > 300 * 20);
    arena_done(&a);
    arena_done(&read);
    buf_done(&b);
}

/* ---- blocks ---- */

static void text_series(Buf *out, i64 i)
{
    buf_printf(out, "metric_%lld", (long long)(i % 7));
}

/* A source of 60 series over 30 hours off the grid, floats and histograms mixed. */
static MemSource *some_source(Arena *a, i64 start)
{
    MemSource *m = mem_source_new();
    for (i64 s = 0; s < 60; s++) {
        Buf name;
        buf_init(&name, 100);
        text_series(&name, s);
        Label l[3] = {{LABEL_NAME, arena_dup(a, buf_view(&name))},
                      {S("a"), arena_printf(a, "v%lld", (long long)s * 37 % 60)},
                      {S("ü"), S("UTF-8 \n\"")}};
        buf_done(&name);
        const Histogram *last = NULL;
        f64 v = 0;
        for (i64 i = 0; i < 200; i++) {
            bool is_hist = s % 4 == 0 || (s % 4 == 1 && i > 150);
            if (is_hist)
                last = rnd_hist(a, last);
            v = rnd_value(v);
            assert_int_equal(mem_source_add(m, (Labels){l, 2 + s % 2}, start + i * 540000 + s, v,
                                            is_hist ? last : NULL, 0, NULL),
                             OK);
        }
    }
    return m;
}

typedef struct Copy { /* of one series */
    VEC(i64) t;
    VEC(f64) v;
    VEC(const Histogram *) h;
} Copy;

static void copy_add(StrMap *all, Arena *a, Labels l, const i64 *t, const f64 *v, const Histogram *const *h,
                     u32 n)
{
    Buf name;
    buf_init(&name, 1 << 16);
    labels_print(&name, l);
    Copy *c = strmap_find(all, buf_view(&name));
    if (!c) {
        c = mem_new(Copy);
        strmap_put(all, buf_view(&name), c);
    }
    buf_done(&name);
    for (u32 i = 0; i < n; i++) {
        assert_true(!c->t.len || c->t.at[c->t.len - 1] < t[i]);
        vec_push(&c->t, t[i]);
        vec_push(&c->v, v[i]);
        vec_push(&c->h, h && h[i] ? histogram_dup(a, h[i]) : NULL);
    }
}

static void copies_done(StrMap *all)
{
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(all, &i));) {
        Copy *c = slot->value;
        vec_done(&c->t);
        vec_done(&c->v);
        vec_done(&c->h);
        mem_free(c);
    }
    strmap_done(all);
}

static void copy_source(PromSource *s, Str tenant, Arena *a, StrMap *ret)
{
    SeriesCursor *c;
    Why why = {0};
    SelectHints hints = {.mint = INT64_MIN / 2, .maxt = INT64_MAX / 2};
    assert_ok(s->select(s, tenant, (Matchers){0}, &hints, a, NULL, &c, &why), &why);
    for (u32 n = 1; n;) {
        SeriesView v;
        assert_ok(c->next(c, &v, 1, &n, &why), &why);
        if (n)
            copy_add(ret, a, v.labels, v.t, v.v, v.h, v.n);
    }
    c->close(c);
}

static u32 copy_blocks(const char *dir, Arena *a, StrMap *ret)
{
    BlockList list;
    Why why = {0};
    assert_ok(blocks_list(&list, vfs_os(), dir, &why), &why);
    u32 n = (u32)list.at.len;
    for (u32 i = 0; i < n; i++) {
        char path[1024];
        Block *b;
        BlockPiece p;
        u64 samples = 0, series = 0;
        snprintf(path, sizeof path, "%s/%s", dir, list.at.at[i].ulid);
        assert_ok(block_open(&b, vfs_os(), list.is_single ? dir : path, &why), &why);
        Err e;
        while ((e = block_next(b, &p, &why)) == OK) {
            copy_add(ret, a, p.labels, p.t, p.v, p.h, p.n);
            samples += p.n;
            series += p.is_first;
        }
        if (e != E_NOT_FOUND)
            fail_msg("%s", why.text);
        assert_int_equal(block_progress(b), block_progress_end(b));
        assert_true(samples == block_meta(b)->samples && series == block_meta(b)->series);
        block_close(b);
    }
    blocks_list_done(&list);
    return n;
}

static void assert_same_copies(StrMap *want, StrMap *got)
{
    StrMapSlot *slot;
    assert_int_equal(want->len, got->len);
    for (size_t i = 0; (slot = strmap_next(want, &i));) {
        Copy *a = slot->value, *b = strmap_find(got, slot->key);
        assert_non_null(b);
        assert_int_equal(a->t.len, b->t.len);
        assert_memory_equal(a->t.at, b->t.at, a->t.len * 8);
        for (size_t k = 0; k < a->t.len; k++) {
            assert_int_equal(!a->h.at[k], !b->h.at[k]);
            if (!a->h.at[k]) {
                assert_true(f64_bits(a->v.at[k]) == f64_bits(b->v.at[k]));
                continue;
            }
            Histogram x = *a->h.at[k], y = *b->h.at[k];
            x.hint = x.hint == HIST_GAUGE ? HIST_GAUGE : 0, y.hint = y.hint == HIST_GAUGE ? HIST_GAUGE : 0;
            assert_true(histogram_is_stale(&x) ? histogram_is_stale(&y) : histogram_eq(&x, &y));
        }
    }
}

static void blocks_round_trip(void **state)
{
    Arena a;
    char dir[256];
    Why why = {0};
    u32 blocks;
    StrMap want = {0}, got = {0};
    arena_init(&a, NULL, 0);
    test_dir(dir);
    i64 start = 1700000000337;
    MemSource *m = some_source(&a, start);
    copy_source(mem_source_face(m), S(""), &a, &want);
    assert_ok(blocks_export(vfs_os(), mem_source_face(m), S(""), (Matchers){0}, start, start + 200 * 540000,
                            dir, NULL, &blocks, &why),
              &why);
    assert_int_equal(blocks, 3); /* 30 hours from 22:13 on */
    assert_int_equal(copy_blocks(dir, &a, &got), 3);
    assert_same_copies(&want, &got);
    copies_done(&want);
    copies_done(&got);
    mem_source_free(m);
    vfs_remove_tree(vfs_os(), dir, NULL);
    arena_done(&a);
}

/* Engine to blocks and back into another engine. */
static void an_engine_comes_back(void **state)
{
    Bench b;
    Arena a;
    char dir[256];
    Why why = {0};
    u32 blocks;
    StrMap want = {0}, got = {0};
    MetricsStats st;
    arena_init(&a, NULL, 0);
    test_dir(dir);
    bench_init(&b);
    bench_open(&b);
    for (i64 i = 0; i < 500; i++)
        for (u32 s = 0; s < 20; s++) {
            char name[64];
            snprintf(name, sizeof name, "m%u{job=j%u}", s % 3, s);
            bench_put(&b, name, BENCH_NOW_MS - 5000000 + i * 10000 + s, (f64)(i * s));
        }
    metrics_stats(b.e, S("x"), &st);
    copy_source(metrics_source(b.e), S("x"), &a, &want);
    assert_int_equal(want.len, 20);
    assert_ok(blocks_export(vfs_os(), metrics_source(b.e), S("x"), (Matchers){0}, st.mint, st.maxt, dir, NULL,
                            &blocks, &why),
              &why);
    assert_true(blocks >= 1);
    copy_blocks(dir, &a, &got);
    assert_same_copies(&want, &got);
    copies_done(&want);
    copies_done(&got);
    bench_done(&b);
    vfs_remove_tree(vfs_os(), dir, NULL);
    arena_done(&a);
}

/* Whatever byte is changed or missing: an error or other numbers, never a crash; and checksums find most. */
static void broken_blocks(void **state)
{
    static const char *const files[] = {"index", "chunks/000001", "meta.json", "tombstones"};
    Arena a;
    char dir[256], path[1024], file[1200];
    Why why = {0};
    u32 blocks, found = 0, tries = 0;
    arena_init(&a, NULL, 0);
    test_dir(dir);
    MemSource *m = mem_source_new();
    for (i64 i = 0; i < 40; i++) {
        Label l[2] = {{LABEL_NAME, S("m")}, {S("i"), i % 2 ? S("1") : S("2")}};
        const Histogram *h = i % 2 ? rnd_hist(&a, NULL) : NULL;
        assert_int_equal(mem_source_add(m, (Labels){l, 2}, 1000 * i, (f64)i, h, 0, NULL), OK);
    }
    assert_ok(
        blocks_export(vfs_os(), mem_source_face(m), S(""), (Matchers){0}, 0, 40000, dir, NULL, &blocks, &why),
        &why);
    BlockList list;
    assert_ok(blocks_list(&list, vfs_os(), dir, &why), &why);
    snprintf(path, sizeof path, "%s/%s", dir, list.at.at[0].ulid);
    for (size_t f = 0; f < COUNT_OF(files); f++) {
        Buf whole, bad;
        buf_init(&whole, 1 << 20);
        buf_init(&bad, 1 << 20);
        snprintf(file, sizeof file, "%s/%s", path, files[f]);
        assert_ok(vfs_read_file(vfs_os(), file, 1 << 20, &whole, &why), &why);
        for (u32 turn = 0; turn < 400; turn++) {
            buf_clear(&bad);
            buf_str(&bad, buf_view(&whole));
            if (turn % 4 == 3)
                bad.len = rnd((u32)whole.len);
            else
                bad.at[rnd((u32)bad.len)] ^= (char)(1 << rnd(8));
            FILE *out = fopen(file, "wb");
            assert_non_null(out);
            fwrite(bad.at, 1, bad.len, out);
            fclose(out);
            Block *b;
            BlockPiece p;
            Err e = block_open(&b, vfs_os(), path, &why);
            tries++;
            if (e == OK) {
                while ((e = block_next(b, &p, &why)) == OK)
                    ;
                block_close(b);
            }
            found += e != E_NOT_FOUND;
            assert_true(e == E_NOT_FOUND || e == E_CORRUPT || e == E_LIMIT);
        }
        FILE *out = fopen(file, "wb");
        assert_non_null(out);
        fwrite(whole.at, 1, whole.len, out);
        fclose(out);
        buf_done(&whole);
        buf_done(&bad);
    }
    assert_true(found > tries / 2);
    blocks_list_done(&list);
    mem_source_free(m);
    vfs_remove_tree(vfs_os(), dir, NULL);
    arena_done(&a);
}

/* Deleted ranges of a series are left out. The file as Prometheus writes it: reference, from, to. */
static void tombstones_are_heeded(void **state)
{
    Arena a;
    char dir[256], path[1024];
    Why why = {0};
    u32 blocks;
    arena_init(&a, NULL, 0);
    test_dir(dir);
    MemSource *m = mem_source_new();
    Label l[1] = {{LABEL_NAME, S("m")}};
    for (i64 i = 0; i < 100; i++)
        assert_int_equal(mem_source_add(m, (Labels){l, 1}, 1000 * i, (f64)i, NULL, 0, NULL), OK);
    assert_ok(
        blocks_export(vfs_os(), mem_source_face(m), S(""), (Matchers){0}, 0, 99000, dir, NULL, &blocks, &why),
        &why);
    BlockList list;
    assert_ok(blocks_list(&list, vfs_os(), dir, &why), &why);
    snprintf(path, sizeof path, "%s/%s/tombstones", dir, list.at.at[0].ulid);
    /* series at 32 (reference 2): 10,000 to 19,999 */
    u8 stones[5 + 1 + 3 + 3 + 4] = {0x01, 0x30, 0xba, 0x30, 1, 2, 0xa0, 0x9c, 0x01, 0xbe, 0xb8, 0x02};
    u32 crc = crc32c(0, stones + 5, 7);
    stones[12] = (u8)(crc >> 24), stones[13] = (u8)(crc >> 16), stones[14] = (u8)(crc >> 8),
    stones[15] = (u8)crc;
    FILE *out = fopen(path, "wb");
    fwrite(stones, 1, sizeof stones, out);
    fclose(out);
    snprintf(path, sizeof path, "%s/%s", dir, list.at.at[0].ulid);
    Block *b;
    BlockPiece p;
    assert_ok(block_open(&b, vfs_os(), path, &why), &why);
    assert_ok(block_next(b, &p, &why), &why);
    assert_int_equal(p.n, 90);
    assert_int_equal(p.t[9], 9000);
    assert_int_equal(p.t[10], 20000);
    block_close(b);
    blocks_list_done(&list);
    mem_source_free(m);
    vfs_remove_tree(vfs_os(), dir, NULL);
    arena_done(&a);
}

/* So many bounds that one more is none: the sum of what is to come must not wrap. */
static void test_more_bounds_than_numbers(void **state)
{
    static const char head[] = "\x00\x0e\x10\x00\xf7\xe5\xe5\xe5\xe5\xe5\xe5\xe5\xe0\x18\x01\x00\xb0\x12"
                               "\x00\x02\x12\xb6\xb6\xb6\xb6\xb6\xb6\xb6\xb6\xb6\xb6\xb6\x17";
    char chunk[240];
    Arena arena;
    ChunkSamples c;
    Why why = {0};
    memset(chunk, 0xff, sizeof chunk);
    memcpy(chunk, head, sizeof head - 1);
    arena_init(&arena, NULL, 0);
    assert_int_equal(chunk_decode(CHUNK_HISTOGRAM, str_of(chunk, sizeof chunk), &arena, &c, &why), E_CORRUPT);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_bounds_than_numbers), cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(histograms_round_trip),         cmocka_unit_test(blocks_round_trip),
        cmocka_unit_test(an_engine_comes_back),          cmocka_unit_test(broken_blocks),
        cmocka_unit_test(tombstones_are_heeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
