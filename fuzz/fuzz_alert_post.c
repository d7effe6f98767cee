/* What clients post: alerts and silences in JSON, and times. */
#include "alert/post.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 64 << 10)
        return 0;
    Str in = str_of((const char *)data + 1, size - 1);
    Arena arena;
    PostError error = {0};
    arena_init(&arena, NULL, 64 << 20);
    if (data[0] & 1) {
        NewSilence s;
        if (post_read_silence(in, &arena, &s, &error) == OK) {
            AlertState state;
            Silence *x;
            Why why;
            alert_state_init(&state);
            silences_set(&state, &s, 1800000000 * NS_PER_SEC, &x, &why);
            alert_state_close(&state);
        } else {
            check(error.status >= 400 && error.text[0]);
        }
    } else {
        NewAlert *at = NULL;
        u32 n = 0, invalid;
        char why[300] = "";
        if (post_read_alerts(in, 1800000000 * NS_PER_SEC, 1000, &arena, &at, &n, &invalid, why, &error) ==
            OK) {
            for (u32 i = 0; i < n; i++) {
                check(at[i].labels.len && at[i].ends_ns >= at[i].starts_ns);
                for (u32 k = 1; k < at[i].labels.len; k++)
                    check(str_cmp(at[i].labels.at[k - 1].name, at[i].labels.at[k].name) < 0);
            }
        } else {
            check(error.status >= 400 || arena_over(&arena));
        }
    }
    arena_done(&arena);
    return 0;
}
