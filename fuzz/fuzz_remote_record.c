/* Records of the remote_write spool, and taking old samples out of one. The first 8 bytes are the time. */
#include "collect/remote/remote_internal.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    if (len < 8)
        return 0;
    i64 min_t;
    memcpy(&min_t, data, 8);
    Str record = str_of((const char *)data + 8, len - 8), block;
    RecordHead h;
    if (record_head_decode(record, &h, &block, NULL) == OK) {
        u8 again[RECORD_HEAD_BYTES];
        RecordHead back;
        record_head_encode(&h, again);
        check(block.len + RECORD_HEAD_BYTES == record.len);
        check(record_head_decode(str_of((const char *)again, sizeof again), &back, &block, NULL) == OK);
        check(back.total == h.total && back.max_t == h.max_t && record_points(&back) == record_points(&h));
    }
    Buf pb;
    buf_init(&pb, RECORD_DECODED_MAX);
    buf_str(&pb, record);
    h = (RecordHead){0};
    if (record_filter(&pb, &h, min_t, len & 1, NULL) == OK && record_points(&h)) {
        RecordHead twice = {0};
        check(h.min_t >= min_t && h.min_t <= h.max_t);
        check(record_filter(&pb, &twice, min_t, len & 1, NULL) == OK);
        check(record_points(&twice) == record_points(&h) && twice.min_t == h.min_t && twice.max_t == h.max_t);
    }
    buf_done(&pb);
    return 0;
}
