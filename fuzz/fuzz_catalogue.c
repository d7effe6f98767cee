/* Bytes as a catalogue segment, with each section's checksum mended; then everything it made known is asked for. */
#include "metrics/catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(u8 *at, size_t n)
{
    if (n < 8)
        return;
    memcpy(at, "PHCAT\0\0\0", 8);
    for (size_t i = 8; n - i >= 13;) {
        u32 len = load_u32(at + i + 1);
        if (len > n - i - 13)
            break;
        u32 crc = crc32c(crc32c(0, at + i, 9), at + i + 13, len);
        memcpy(at + i + 9, &crc, 4);
        i += 13 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u8 *copy = mem_alloc(size + 1);
    memcpy(copy, data, size);
    mend(copy, size);
    Catalogue c;
    u32 bad = 0;
    catalogue_init(&c, 3);
    if (catalogue_decode(&c, (Str){(char *)copy, size}, (CatPoint){20000, 20000, 20000}, &bad, NULL) == OK &&
        c.series_len < 1u << 20 && c.pairs_len < 1u << 20) {
        catalogue_pack(&c, true);
        static Label labels[LABELS_MAX];
        for (u32 sid = 1; sid <= c.series_len; sid++) {
            const u32 *rec = catalogue_record(&c, sid);
            if (!rec)
                continue;
            catalogue_labels(&c, rec, labels);
            Labels l = {labels, record_labels(rec)};
            check(catalogue_is(&c, rec, l));
            catalogue_find(&c, record_shard(rec), catalogue_hash(l).labels, l);
        }
        u64 postings = 0, records = 0;
        for (u32 p = 1; p <= c.pairs_len; p++)
            postings += catalogue_postings_len(&c, p);
        for (u32 sid = 1; sid <= c.series_len; sid++)
            records += catalogue_record(&c, sid) ? record_labels(catalogue_record(&c, sid)) : 0;
        check(postings == records);
        Buf out;
        buf_init(&out, 1 << 26);
        catalogue_encode(&c, (CatPoint){0}, catalogue_point(&c), &out);
        buf_done(&out);
    }
    catalogue_done(&c);
    mem_free(copy);
    return 0;
}
