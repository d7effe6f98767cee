/* Pattern, newline, text: shortcuts must agree with RE2, and nothing may crash or run away. */
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Str pattern, text, all = str_of((const char *)data, MIN(size, 512));
    str_cut(all, '\n', &pattern, &text);
    if (!str_is_utf8(text))
        return 0; /* '.' and invalid bytes: the difference regex.c names */
    Regex *fast = NULL, *slow = NULL, *loose = NULL;
    Why why;
    Err e = regex_new(pattern, REGEX_ANCHORED, &fast, &why);
    Err f = regex_new(pattern, REGEX_ANCHORED | REGEX_PLAIN, &slow, &why);
    check(e == f);
    if (e == OK) {
        check(regex_match(fast, text) == regex_match(slow, text));
        const Str *lits;
        u32 n = regex_literals(fast, &lits);
        for (u32 i = 0; i < n; i++)
            check(regex_match(slow, lits[i]));
        if (regex_match(slow, text))
            check(str_starts(text, regex_prefix(fast)));
    }
    if (regex_new(pattern, 0, &loose, &why) == OK) {
        Buf out;
        buf_init(&out, 1 << 16);
        regex_replace_all(loose, text, S("<$0$1${x}>"), &out);
        buf_done(&out);
    }
    regex_free(fast);
    regex_free(slow);
    regex_free(loose);
    return 0;
}
