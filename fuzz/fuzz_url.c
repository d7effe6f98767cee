/* URLs: slices lie inside the text, and what is printed redacted never shows a password. */
#include "net/net.h"

static void check_inside(Str part, Str text)
{
    check(!part.at || part.len == 0 || (part.at >= text.at && part.at + part.len <= text.at + text.len));
}

int LLVMFuzzerTestOneInput(const u8 *at, size_t len)
{
    Str text = str_of((const char *)at, len);
    Url u;
    Why why = {0};
    Buf out;
    buf_init(&out, 4 * len + 64);
    url_print_redacted(&out, text);
    check(!buf_over(&out));
    if (url_parse(text, &u, &why) == OK) {
        const Str parts[] = {u.scheme, u.userinfo, u.host, u.path, u.query, u.fragment};
        for (u32 i = 0; i < COUNT_OF(parts); i++)
            check_inside(parts[i], text);
        check(u.path.len == 0 || u.path.at[0] == '/');
        Str user, password;
        if (u.userinfo.at && str_cut(u.userinfo, ':', &user, &password)) {
            Url again; /* reads back, with the password replaced */
            check(url_parse(buf_view(&out), &again, NULL) == OK);
            check(str_ends(again.userinfo, S(":xxxxx")));
        }
    } else {
        check(why.text[0]);
    }
    buf_done(&out);
    return 0;
}
