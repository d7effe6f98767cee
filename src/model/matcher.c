/* Label matchers: model.h. */
#include "model/model.h"

Err matcher_init(Matcher *m, MatchOp op, Str name, Str value, Why *why)
{
    Regex *re = NULL;
    if (op == MATCH_RE || op == MATCH_NRE)
        TRY(regex_new(value, REGEX_ANCHORED, &re, why));
    *m = (Matcher){.name = name, .value = value, .op = op, .re = re};
    return OK;
}

void matcher_done(Matcher *m)
{
    regex_free((Regex *)m->re);
    m->re = NULL;
}

bool matcher_matches(const Matcher *m, Str value)
{
    switch (m->op) {
    case MATCH_EQ:
        return str_eq(m->value, value);
    case MATCH_NE:
        return !str_eq(m->value, value);
    case MATCH_RE:
        return regex_match(m->re, value);
    case MATCH_NRE:
        return !regex_match(m->re, value);
    }
    check(!"a matcher of no kind");
    return false;
}

bool matchers_match(Matchers m, Labels l)
{
    for (u32 i = 0; i < m.len; i++)
        if (!matcher_matches(&m.at[i], labels_get(l, m.at[i].name)))
            return false;
    return true;
}

void matcher_print(Buf *out, const Matcher *m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    if (label_name_is_classic(m->name))
        buf_str(out, m->name);
    else
        go_quote(out, m->name);
    buf_c(out, ops[m->op]);
    go_quote(out, m->value);
}
