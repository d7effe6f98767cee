/* Matchers in every grammar: what is accepted prints as something that reads back as the same. */
#include "alert/alert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 2048)
        return 0;
    Str in = str_of((const char *)data + 1, size - 1);
    Arena arena;
    MatchList l, again;
    Why why;
    Buf b;
    match_set_mode((MatchMode)(data[0] % 3));
    arena_init(&arena, NULL, 16 << 20);
    buf_init(&b, 1 << 20);
    Err e = data[0] & 4 ? match_parse_one(in, &arena, &l, &why) : match_parse(in, &arena, &l, NULL, &why);
    if (e == OK) {
        match_print_all(&b, (Matchers){l.at, l.len});
        Label label = {S("a"), S("b")};
        matchers_match((Matchers){l.at, l.len}, (Labels){&label, 1});
        /* An empty name and odd ones of the classic grammar aside, the UTF-8 grammar reads what is printed. */
        match_set_mode(MATCH_UTF8);
        if (match_parse(buf_view(&b), &arena, &again, NULL, NULL) == OK) {
            check(again.len == l.len);
            match_list_done(&again);
        }
        match_list_done(&l);
    }
    match_set_mode(MATCH_FALLBACK);
    buf_done(&b);
    arena_done(&arena);
    return 0;
}
