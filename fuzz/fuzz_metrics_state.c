/* The first byte chooses: a manifest's content (checksum mended), or a record of the metrics log given to a replay. */
#include "metrics/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_manifest(const u8 *data, size_t n)
{
    if (n < 12)
        return;
    u8 *copy = mem_alloc(n);
    memcpy(copy, data, n);
    memcpy(copy, "PHMET\0\0\0", 8);
    u32 crc = crc32c(0, copy, n - 4);
    memcpy(copy + n - 4, &crc, 4);
    Version *v = version_new();
    PartMetas metas = {0};
    if (version_decode((Str){(char *)copy, n}, v, &metas, NULL) == OK) {
        Buf out;
        buf_init(&out, 1 << 26);
        version_encode(v, &out);
        buf_done(&out);
    }
    for (size_t i = 0; i < v->tenants.len; i++)
        mem_free((void *)v->tenants.at[i].name.at);
    vec_done(&metas);
    version_unref(v);
    mem_free(copy);
}

/* As much of an engine as a replay touches. */
static void try_record(const u8 *data, size_t n)
{
    static Shard shards[2];
    MetricsEngine e = {.shards = shards, .shards_len = 2, .mint = INT64_MAX, .c = {.exemplars_max = 8}};
    mutex_init(&e.lock, RANK_ENGINE);
    for (size_t at = 0; at + 3 < n;) {
        u32 type = 1 + data[at] % 2;
        size_t len = MIN((size_t)(data[at + 1] | data[at + 2] << 8), n - at - 3);
        record_replay(&e, &(LogRecord){.type = type, .bytes = {(const char *)data + at + 3, len}}, NULL);
        at += 3 + len;
    }
    for (size_t i = 0; i < e.tenants.len; i++)
        tenant_free(e.tenants.at[i], 2);
    vec_done(&e.tenants);
    strmap_done(&e.tenants_by_name);
    mutex_done(&e.lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_fd(-1);
    if (size && data[0] & 1)
        try_record(data + 1, size - 1);
    else if (size)
        try_manifest(data + 1, size - 1);
    return 0;
}
