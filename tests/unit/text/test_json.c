/* Quoting for JSON: eight bytes at a time must say what one at a time says. */
#include "test.h"
#include "text/text.h"

#include <stdio.h>

/* By the definition, byte by byte; ASCII only. */
static void plainly(Buf *out, Str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        u8 c = (u8)s.at[i];
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        const char *hit = c ? strchr(from, c) : NULL;
        if (hit)
            buf_printf(out, "\\%c", to[hit - from]);
        else if (c < 0x20 || c == '<' || c == '>' || c == '&')
            buf_printf(out, "\\u%04x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '"');
}

static void test_every_byte_everywhere(void **state)
{
    Buf want, got;
    buf_init(&want, 1 << 10);
    buf_init(&got, 1 << 10);
    for (size_t len = 1; len < 27; len++)
        for (size_t at = 0; at < len; at++)
            for (int c = 0; c < 128; c++) {
                char text[32];
                memset(text, 'a' + (int)at % 26, len);
                text[at] = (char)c;
                text[len - 1 - at / 2] = (char)(127 - c);
                buf_clear(&want);
                buf_clear(&got);
                plainly(&want, str_of(text, len));
                js_quote(&got, str_of(text, len));
                if (!str_eq(buf_view(&want), buf_view(&got)))
                    fail_msg("byte %d at %zu of %zu: %s", c, at, len, buf_cstr(&got));
            }
    buf_done(&want);
    buf_done(&got);
}

static void test_runes(void **state)
{
    Buf b;
    buf_init(&b, 1 << 10);
    js_quote(&b, S("abcdefgh\xc3\xa9\xe2\x80\xa8ijklmnop\xffq<"));
    assert_str(buf_view(&b), "\"abcdefgh\xc3\xa9\\u2028ijklmnop\\ufffdq\\u003c\"");
    buf_clear(&b);
    Json j;
    js_init(&j, &b);
    js_str_plain(&j, S("a<b>&c, longer than eight <"));
    assert_str(buf_view(&b), "\"a<b>&c, longer than eight <\"");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_byte_everywhere),
                                       cmocka_unit_test(test_runes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
