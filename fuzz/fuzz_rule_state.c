/* Any bytes as records of the alert state log (their checksums hold): it opens or says why not, and gives alerts back. */
#include "store_fuzz.h"

#include "rules/rules_internal.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void got(void *arg, ActiveAlert *a)
{
    check(a->state <= 2);
    active_alert_free(a);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static VirtualClock clock;
    SimFs *fs = simfs_new();
    log_set_level(LOG_LEVEL_ERROR + 1);
    virtual_clock_init(&clock, NS_PER_SEC);
    RulesEnv env = {.vfs = simfs_vfs(fs), .clock = &clock.clock, .state_dir = "/state"};
    ILogConfig c = {.vfs = env.vfs, .clock = env.clock, .dir = env.state_dir};
    ILog *log;
    StateLog *s;
    LogPos at;
    check(ilog_open(&log, &c, NULL) == OK);
    for (size_t off = 0; off + 3 < len;) { /* type, two bytes of length, record */
        size_t n = MIN((size_t)(data[off + 1] | data[off + 2] << 8), len - off - 3);
        LogRecord r = {.type = 1 + data[off] % 2, .bytes = {(const char *)data + off + 3, n}};
        if (ilog_append_wait(log, &r, &at, NULL) != OK)
            break;
        off += 3 + n;
    }
    ilog_close(log);
    if (state_open(&s, &env, NULL) == OK) {
        Rule rule = {.name = S("r")};
        state_last_seen_ms(s);
        state_take(s, S("f"), S("g"), &rule, got, NULL);
        state_close(s);
    }
    simfs_free(fs);
    return 0;
}
