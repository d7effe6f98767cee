/* web.config.file of any content: a verdict, and what is printed of it shows none of its secrets. */
#include "tenant/tenant.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);

static void check_hidden(const Buf *out, Secret s)
{
    /* A secret that also stands elsewhere in the file (or is short) is nobody's secret. */
    if (secret_reveal(s).len >= 24 && str_find(buf_view(out), secret_reveal(s)) != SIZE_MAX)
        check(!"a secret was printed");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
    static const char tail[] = "\nbearer_tokens:\n- token: correct-horse-battery-staple\n  nam: x\n";
    Str text = str_of((const char *)data, len);
    if (str_find(text, S("_file")) != SIZE_MAX || str_find(text, S("\\")) != SIZE_MAX)
        return 0; /* it would read this machine's files */
    for (int with_token = 0; with_token < 2; with_token++) {
        Buf in, out;
        Conf *c = conf_new("fuzz/web.yml");
        WebConfig w;
        Why why;
        buf_init(&in, 4u << 20);
        buf_init(&out, 8u << 20);
        buf_str(&in, text);
        if (with_token)
            buf_c(&in, tail);
        if (conf_parse(c, buf_view(&in))) {
            web_config_read(c, &w);
            conf_print_issues(c, &out);
            conf_print_yaml(c, &out);
            if (with_token && len < 1)
                check(w.tokens_len == 1);
            for (u32 i = 0; with_token && i < w.tokens_len; i++)
                if (str_find(text, S("correct")) == SIZE_MAX)
                    check_hidden(&out, w.tokens[i].token);
            if (conf_finish(c, &why) == OK && w.users_len + w.tokens_len < 16) {
                Credentials *cr = credentials_new(&w);
                credentials_replace(cr, &w);
                credentials_free(cr);
            }
        }
        buf_done(&in);
        buf_done(&out);
        conf_free(c);
    }
    return 0;
}
