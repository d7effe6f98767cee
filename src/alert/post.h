/* post: the bodies clients send, read as Alertmanager reads them: unknown members are passed over, a wrong type is an
 * error with its place. */
#pragma once
#include "alert/state.h"

/* What was wrong: HTTP status, and Alertmanager's code (400, 601, 602, 612). */
typedef struct PostError {
    int status, code;
    char text[300];
} PostError;
/* Labels are sorted, empty ones left out; times default as Alertmanager does. Everything lives in arena (or the body).
 * Alerts that are no alerts (no labels, an end before the start) are left out: their number and the first reason by
 * ret_invalid and invalid_why; the others count. */
Err post_read_alerts(Str body, i64 now_ns, i64 resolve_timeout_ms, Arena *arena, NewAlert **ret, u32 *ret_len,
                     u32 *ret_invalid, char invalid_why[300], PostError *error);
Err post_read_silence(Str body, Arena *arena, NewSilence *ret, PostError *error);
bool post_read_time(Str s, i64 *ret_ns); /* RFC 3339; a year before 1678 is no time: 0 */
