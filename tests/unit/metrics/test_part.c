/* Parts and catalogue segments as bytes: the golden file, damage anywhere, hostile series. */
#include "test.h"
#include "metrics/catalogue.h"
#include "metrics/part.h"
#include "metrics/values.h"
#include <math.h>
#include <stdlib.h>

typedef struct ListSource {
    PartSource src;
    const SampleVec *series; /* series i has id 3 * i + 2 */
    u32 len, at;
} ListSource;

static Err list_next(PartSource *ps, u32 *ret_sid, SampleVec *out, Why *why)
{
    ListSource *l = (ListSource *)ps;
    *ret_sid = 0;
    if (l->at == l->len)
        return OK;
    const SampleVec *s = &l->series[l->at];
    samples_reserve(out, s->len);
    memcpy(out->t, s->t, s->len * sizeof(i64));
    memcpy(out->v, s->v, s->len * sizeof(f64));
    if (s->has_hist) {
        samples_need_hist(out);
        memcpy(out->h, s->h, s->len * sizeof(Str));
    }
    out->len = s->len;
    *ret_sid = 3 * l->at++ + 2;
    return OK;
}

#define GOLDEN_CATALOGUE 0xfc292dc685562f45ULL
enum { SERIES = 200 };
static SampleVec all[SERIES];
static u64 rnd_state = 99;
static u64 rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state;
}

static void series_make(void)
{
    rnd_state = 99;
    for (u32 i = 0; i < SERIES; i++) {
        SampleVec *s = &all[i];
        u32 n = i % 37 == 0 ? 2500 : 1 + i % 9;
        samples_clear(s);
        samples_reserve(s, n);
        for (u32 k = 0; k < n; k++) {
            s->t[k] = 1700000000337 + (i64)k * 15000 + (i % 5 == 4 ? (i64)(rnd() % 9) : 0);
            s->v[k] = i % 3 == 0 ? (f64)(k * i) : i % 3 == 1 ? (f64)(k % 7) / 10 : f64_from_bits(rnd());
        }
        if (i % 11 == 3) {
            static const char blob_bytes[] =
                "\x03\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x00\x05\x00\x00\x00\x00\x00";
            s->len = n;
            samples_need_hist(s);
            for (u32 k = n / 2; k < n; k++)
                s->h[k] = (Str){blob_bytes, sizeof blob_bytes - 1};
        }
        s->len = n;
    }
}

static void series_free(void)
{
    for (u32 i = 0; i < SERIES; i++)
        samples_done(&all[i]);
}

static void encode(u32 n, u32 level, Buf *out, PartMeta *meta)
{
    Why why = {0};
    ListSource src = {.src = {list_next}, .series = all, .len = n};
    *meta = (PartMeta){.level = level};
    assert_ok(part_encode(&src.src, meta, out, &why), &why);
    meta->bytes = out->len;
}

static void test_round_trip(void **state)
{
    series_make();
    for (u32 level = 0; level < 4; level += 3) {
        Buf b;
        PartMeta meta;
        buf_init(&b, 1 << 24);
        encode(SERIES, level, &b, &meta);
        Part *p = part_from_bytes((u8 *)b.at, b.len, &meta);
        assert_false(p->is_broken);
        assert_int_equal(meta.series, SERIES);
        PartCursor c;
        part_cursor_init(&c, p);
        SampleVec got = {0};
        u32 sid = 0;
        for (u32 i = 0; i < SERIES; i++) {
            sid = part_cursor_next(&c, sid);
            assert_int_equal(sid, 3 * i + 2);
            samples_clear(&got);
            part_cursor_read(&c, sid, INT64_MIN, INT64_MAX, &got);
            assert_int_equal(got.len, all[i].len);
            assert_memory_equal(got.t, all[i].t, got.len * sizeof(i64));
            for (u32 k = 0; k < got.len; k++) {
                bool is_hist = all[i].has_hist && all[i].h[k].at;
                assert_int_equal(got.has_hist && got.h[k].at, is_hist);
                if (is_hist)
                    assert_true(str_eq(got.h[k], all[i].h[k]));
                else
                    assert_true(f64_bits(got.v[k]) == f64_bits(all[i].v[k]));
            }
        }
        assert_int_equal(part_cursor_next(&c, sid), 0);
        for (u32 round = 0; round < 3000; round++) { /* any order, any range */
            u32 i = (u32)(rnd() % SERIES);
            const SampleVec *s = &all[i];
            i64 mint = s->t[rnd() % s->len] + (i64)(rnd() % 3) - 1, maxt = mint + (i64)(rnd() % 400000);
            samples_clear(&got);
            part_cursor_read(&c, 3 * i + 2, mint, maxt, &got);
            u32 at = 0;
            for (u32 k = 0; k < s->len; k++)
                if (s->t[k] >= mint && s->t[k] <= maxt)
                    assert_true(at < got.len && got.t[at++] == s->t[k]);
            assert_int_equal(at, got.len);
            part_cursor_read(&c, 3 * i + 3, mint, maxt, &got); /* nobody has these ids */
            assert_int_equal(at, got.len);
        }
        assert_true(part_has(p, 2) && !part_has(p, 3) && part_has(p, 3 * SERIES - 1) && !part_has(p, 5000));
        samples_done(&got);
        part_cursor_done(&c);
        part_unref(p);
        buf_done(&b);
    }
    series_free();
}

/* Every single flipped byte is noticed by verifying, and what still reads is what was written. */
static void test_flips(void **state)
{
    log_set_fd(-1);
    series_make();
    Buf b;
    PartMeta meta;
    buf_init(&b, 1 << 24);
    encode(30, 0, &b, &meta);
    SampleVec got = {0};
    Part *whole = part_from_bytes((u8 *)b.at, b.len, &meta);
    u32 none = 0;
    Why whole_why = {0};
    assert_ok(part_verify(whole, &none, &whole_why), &whole_why);
    part_unref(whole);
    for (size_t at = 0; at < b.len; at += at < 16 || at > b.len - 500 ? 1 : 1 + rnd() % 97) {
        b.at[at] ^= (char)(1 + rnd() % 255);
        Part *p = part_from_bytes((u8 *)b.at, b.len, &meta);
        u32 bad = 0;
        Why why = {0};
        if (part_verify(p, &bad, &why) == OK)
            fail_msg("a flip at byte %zu of %zu was not noticed", at, b.len);
        PartCursor c;
        part_cursor_init(&c, p);
        for (u32 i = 0; i < 30; i++) {
            samples_clear(&got);
            part_cursor_read(&c, 3 * i + 2, INT64_MIN, INT64_MAX, &got);
            for (u32 k = 0; k < got.len; k++) {
                u32 j = 0;
                while (j < all[i].len && all[i].t[j] != got.t[k])
                    j++;
                assert_true(j < all[i].len);
            }
        }
        part_cursor_done(&c);
        part_unref(p);
        buf_clear(&b);
        encode(30, 0, &b, &meta);
    }
    samples_done(&got);
    buf_done(&b);
    series_free();
    log_set_fd(2);
}

/* The bytes of today's formats: a change of the format must be seen here and change its number or its document. */
static void golden(const char *what, Str bytes, u64 want)
{
    u64 hash = hash_bytes(bytes.at, bytes.len, 0);
    if (hash != want)
        fail_msg("%s: %zu bytes hash to 0x%llx, the golden ones to 0x%llx", what, bytes.len,
                 (unsigned long long)hash, (unsigned long long)want);
}

static void read_as_made(const Buf *b, const PartMeta *meta, u32 n)
{
    Part *p = part_from_bytes((const u8 *)b->at, b->len, meta);
    PartCursor c;
    SampleVec got = {0};
    u32 bad = 1;
    Why why = {0};
    assert_ok(part_verify(p, &bad, &why), &why);
    part_cursor_init(&c, p);
    for (u32 i = 0; i < n; i++) {
        samples_clear(&got);
        part_cursor_read(&c, 3 * i + 2, INT64_MIN, INT64_MAX, &got);
        assert_int_equal(got.len, all[i].len);
        assert_memory_equal(got.t, all[i].t, got.len * sizeof(i64));
        for (u32 k = 0; k < got.len; k++)
            if (all[i].has_hist && all[i].h[k].at)
                assert_true(got.has_hist && str_eq(got.h[k], all[i].h[k]));
            else
                assert_true(f64_bits(got.v[k]) == f64_bits(all[i].v[k]));
    }
    part_cursor_done(&c);
    samples_done(&got);
    part_unref(p);
}

/* A part of format 1 as it was written once: it reads for ever. Writers may learn to write shorter ones. PHAROS_WRITE_GOLDEN=1 writes the
 * file anew, only ever for a new version of the format, into a new folder. */
static void test_golden_part(void **state)
{
    series_make();
    Buf b;
    PartMeta meta = {.level = 1};
    Why why = {0};
    char path[1024];
    const char *root = getenv("PHAROS_SOURCE");
    buf_init(&b, 1 << 24);
    snprintf(path, sizeof path, "%s/tests/golden/formats/v1/metrics_part", root ? root : ".");
    if (getenv("PHAROS_WRITE_GOLDEN")) {
        encode(40, 1, &b, &meta);
        assert_ok(vfs_write_file(vfs_os(), path, buf_view(&b), &why), &why);
        buf_clear(&b);
    }
    assert_ok(vfs_read_file(vfs_os(), path, 1 << 24, &b, &why), &why);
    assert_true(b.len > 1000);
    read_as_made(&b, &meta, 40);
    /* Another number is refused, not taken for damage. */
    b.at[8] = 0;
    Part *p = part_from_bytes((const u8 *)b.at, b.len, &meta);
    assert_true(p->is_broken);
    part_unref(p);
    buf_done(&b);
    series_free();
}

static void test_golden_catalogue(void **state)
{
    Buf b;
    buf_init(&b, 1 << 24);
    Catalogue c;
    catalogue_init(&c, 2);
    for (u32 i = 0; i < 100; i++) {
        char instance[16], mode[16];
        snprintf(instance, sizeof instance, "h%u:9100", i / 10);
        snprintf(mode, sizeof mode, "m%u", i % 10);
        Label l[] = {{LABEL_NAME, S("cpu")},
                     {S("instance"), str_c(instance)},
                     {S("job"), S("node")},
                     {S("mode"), str_c(mode)}};
        Labels labels = {l, 4};
        LabelsHash h = catalogue_hash(labels);
        assert_int_equal(catalogue_add(&c, h.target % 2, h.labels, labels), i + 1);
    }
    buf_clear(&b);
    catalogue_encode(&c, (CatPoint){0}, catalogue_point(&c), &b);
    golden("catalogue segment", buf_view(&b), GOLDEN_CATALOGUE);
    /* And back: other shards, the same series and postings. */
    Catalogue d;
    catalogue_init(&d, 5);
    u32 bad = 0;
    Why why = {0};
    assert_ok(catalogue_decode(&d, buf_view(&b), catalogue_point(&c), &bad, &why), &why);
    assert_int_equal(bad, 0);
    catalogue_pack(&d, true);
    assert_int_equal(d.series_known, 100);
    for (u32 sid = 1; sid <= 100; sid++) {
        Label l[4];
        catalogue_labels(&c, catalogue_record(&c, sid), l);
        LabelsHash h = catalogue_hash((Labels){l, 4});
        assert_int_equal(catalogue_find(&d, h.target % 5, h.labels, (Labels){l, 4}), sid);
    }
    u32 pair = catalogue_find_pair(&d, catalogue_find_name(&d, S("mode")), S("m3")), ids[100];
    assert_int_equal(catalogue_postings_len(&d, pair), 10);
    catalogue_postings(&d, pair, ids);
    for (u32 i = 0; i < 10; i++)
        assert_int_equal(ids[i], 10 * i + 4);
    catalogue_done(&c);
    catalogue_done(&d);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_flips),
                                       cmocka_unit_test(test_golden_part),
                                       cmocka_unit_test(test_golden_catalogue)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
