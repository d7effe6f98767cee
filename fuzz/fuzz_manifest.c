/* Any bytes as a manifest's object: the first byte says whether its checksums are mended. */
#include "store_fuzz.h"

#include "store/manifest_int.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void fix_copy(u8 *at, size_t len)
{
    if (len < MANIFEST_HEAD_BYTES)
        return;
    memcpy(at, "PHAROSM0", 8);
    u64 n = get_u64(at + 32);
    if (n <= len - MANIFEST_HEAD_BYTES)
        put_u32(at + 12, crc32c(crc32c(0, at + 16, 24), at + MANIFEST_HEAD_BYTES, n));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    if (!len)
        return 0;
    log_set_level(LOG_LEVEL_ERROR + 1);
    u8 *copy = mem_alloc(len);
    size_t n = len - 1;
    memcpy(copy, data + 1, n);
    if (data[0] & 1)
        fix_copy(copy, n / 2);
    if (data[0] & 2)
        fix_copy(copy + n / 2, n - n / 2);
    SimFs *fs = simfs_new();
    simfs_put(fs, "/b/m/x/00000000000000000003", copy, n);
    Bucket *b;
    Manifest *m;
    check(bucket_open_dir(&b, simfs_vfs(fs), "/b", NULL) == OK);
    if (manifest_open(&m, b, S("x"), NULL) == OK) {
        Str bytes = manifest_bytes(m);
        check(manifest_number(m) == 3 && bytes.len <= n);
        check(manifest_commit(m, bytes, NULL) == OK);
        check(manifest_number(m) == 4 && manifest_bytes(m).len == bytes.len);
        manifest_close(m);
    }
    FsckReport r = {.out = &(Buf){0}};
    buf_init(r.out, 1 << 16);
    check(fsck_bucket_manifest(simfs_vfs(fs), "/b", S("x"), &r, NULL) == OK);
    buf_done(r.out);
    bucket_close(b);
    simfs_free(fs);
    mem_free(copy);
    return 0;
}
