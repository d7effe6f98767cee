/* YAML -> tree -> every kind of getter, relabel rules, http client; what prints reads back. */
#include "config/config.h"
#include <stdlib.h>

static Str no_env(void *arg, Str name, bool *ret_set)
{
    *ret_set = name.len & 1;
    return S("value");
}

static void walk(Conf *c, const ConfNode *n, u32 depth)
{
    ConfMap m;
    HttpClientConfig http = {0};
    if (!n || depth > 12)
        return;
    Buf path;
    buf_init(&path, 4096);
    conf_path(n, &path);
    buf_done(&path);
    if (n->kind == CONF_SCALAR)
        conf_scalar(c, n, true);
    for (u32 i = 0; i < n->len && i < 64; i++)
        walk(c, &n->items[i], depth + 1);
    if (n->kind != CONF_MAP || !conf_map_begin(c, n, &m))
        return;
    conf_duration(&m, "d", 0);
    conf_bytes(&m, "b", 0);
    conf_i64(&m, "i", 0, -5, 5);
    conf_f64(&m, "f", 0);
    conf_bool(&m, "t", false);
    conf_labels(&m, "l");
    const Str *s;
    conf_strs(&m, "s", &s);
    conf_relabel(&m, "r");
    conf_http_client(&m, &http);
    conf_map_end(&m);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    Conf *c = conf_new("fuzz/p.yml");
    conf_set_env(c, no_env, NULL);
    if (conf_parse(c, str_of((const char *)data, len))) {
        bool clean = conf_error_count(c) == 0;
        Buf once, twice;
        walk(c, conf_root(c), 0);
        buf_init(&once, 8u << 20);
        buf_init(&twice, 8u << 20);
        conf_print_yaml(c, &once);
        Conf *again = conf_new("again.yml");
        if (clean && !buf_over(&once)) {
            check(conf_parse(again, buf_view(&once)));
            conf_print_yaml(again, &twice);
            check(conf_error_count(again) == 0);
        }
        conf_free(again);
        buf_done(&once);
        buf_done(&twice);
    }
    Why why;
    conf_finish(c, &why);
    conf_free(c);
    return 0;
}
