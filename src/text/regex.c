/* Regular expressions: RE2 (regex.cc) behind text.h's API, with shortcuts that most matchers in real queries and rules
 * take instead: literals, alternations of literals, and "contains" shapes built from .* and .+ .
 *
 * A shortcut is taken only for patterns whose every character is understood here; all else is RE2's. fuzz_regex holds
 * the shortcuts against RE2.
 *
 * Differences to Go that remain: RE2 lets '.' match no invalid UTF-8 (Go reads it as U+FFFD); RE2's and Go's Unicode
 * tables may be a version apart; RE2 refuses a program over its memory bound, Go over its own.
 */
#include "text/text.h"
#include "text/cxx.h"

#define PATTERN_BYTES_MAX  (64u << 10)
#define LITERALS_NAMED_MAX 256u   /* what regex_literals tells */
#define LITERALS_SET_MAX   65536u /* what the hash set takes, top-level alternations only */
#define CROSS_MAX          256u   /* (a|b)(c|d): products inside a pattern */
#define SHAPE_DEPTH_MAX    8

typedef enum Shape {
    SHAPE_RE2,
    SHAPE_LITERALS,
    SHAPE_PARTS, /* head, then maybe a wild part, then maybe a middle, ... : see Parts */
} Shape;

/* wild1? middle wild2? : "a.*", ".*b", ".+c.*". A wild part is .* (min 0) or .+ (min 1 code point). */
typedef struct Parts {
    Str head, middle, tail;
    int wild; /* how many wild parts: 1 = head wild tail; 2 = head wild middle wild tail */
    bool plus[2];
} Parts;

struct Regex {
    CxxRe2 *re;
    bool is_anchored;
    Shape shape;
    u32 groups;
    Str *lits;
    u32 lits_len;
    StrMap set; /* over 8 literals */
    Parts parts;
    Str prefix;
    char *own; /* the pattern's copy, which parts and prefix point into after unescaping */
    Arena arena;
};

/* ---- understanding literals ---- */
typedef struct LitSet {
    Str *at;
    u32 len, cap;
} LitSet;
typedef struct LitParser {
    Str text;
    size_t pos;
    Arena *arena;
    int depth;
    bool failed, has_capture;
} LitParser;

static bool is_meta(char c)
{
    return c && strchr("\\.+*?()|[]{}^$", c) != NULL;
}

static void litset_add(LitParser *p, LitSet *s, Str lit, u32 max)
{
    if (s->len >= max) {
        p->failed = true;
        return;
    }
    if (s->len == s->cap) {
        u32 cap = s->cap ? s->cap * 2 : 4;
        Str *at = arena_array(p->arena, Str, cap);
        if (!at) {
            p->failed = true;
            return;
        }
        if (s->len)
            memcpy(at, s->at, s->len * sizeof *at);
        s->at = at;
        s->cap = cap;
    }
    s->at[s->len++] = lit;
}

static Str lit_concat(LitParser *p, Str a, Str b)
{
    if (!a.len)
        return b;
    if (!b.len)
        return a;
    char *at = arena_try(p->arena, a.len + b.len);
    if (!at) {
        p->failed = true;
        return a;
    }
    memcpy(at, a.at, a.len);
    memcpy(at + a.len, b.at, b.len);
    return str_of(at, a.len + b.len);
}

static void litset_cross(LitParser *p, LitSet *acc, const LitSet *by)
{
    if (by->len == 1) {
        for (u32 i = 0; i < acc->len; i++)
            acc->at[i] = lit_concat(p, acc->at[i], by->at[0]);
        return;
    }
    LitSet out = {0};
    for (u32 i = 0; i < acc->len && !p->failed; i++)
        for (u32 k = 0; k < by->len && !p->failed; k++)
            litset_add(p, &out, lit_concat(p, acc->at[i], by->at[k]), CROSS_MAX);
    *acc = out;
}

static void lit_alternation(LitParser *p, LitSet *ret, u32 max);

/* One escaped character outside classes: only punctuation and the C-like escapes Go and RE2 share. */
static bool lit_escape(LitParser *p, Str *ret)
{
    if (p->pos + 1 >= p->text.len)
        return false;
    char c = p->text.at[p->pos + 1];
    static const char from[] = "nrtfav", to[] = "\n\r\t\f\a\v";
    const char *hit;
    if ((u8)c < 0x80 && c > ' ' &&
        !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) && c != '_')
        *ret = str_sub(p->text, p->pos + 1, p->pos + 2);
    else if (c && (hit = strchr(from, c)) != NULL)
        *ret = str_of(to + (hit - from), 1);
    else
        return false;
    p->pos += 2;
    return true;
}

/* [abc]: plain ASCII members only, no ranges, no negation. */
static void lit_class(LitParser *p, LitSet *ret)
{
    size_t i = p->pos + 1, start = i;
    for (; i < p->text.len && p->text.at[i] != ']'; i++) {
        char c = p->text.at[i];
        if ((u8)c >= 0x80 || c == '-' || c == '[' || c == '\\' || c == '^') {
            p->failed = true;
            return;
        }
        Str one = str_sub(p->text, i, i + 1);
        bool seen = false;
        for (u32 k = 0; k < ret->len; k++)
            seen |= str_eq(ret->at[k], one);
        if (!seen)
            litset_add(p, ret, one, CROSS_MAX);
    }
    if (i >= p->text.len || i == start)
        p->failed = true;
    p->pos = i + 1;
}

static void lit_group(LitParser *p, LitSet *ret)
{
    Str rest = str_skip(p->text, p->pos + 1);
    if (str_starts(rest, S("?:")))
        p->pos += 3;
    else if (str_starts(rest, S("?"))) {
        p->failed = true;
        return;
    } else {
        p->has_capture = true;
        p->pos += 1;
    }
    if (++p->depth > SHAPE_DEPTH_MAX) {
        p->failed = true;
        return;
    }
    lit_alternation(p, ret, CROSS_MAX);
    p->depth--;
    if (p->failed || p->pos >= p->text.len || p->text.at[p->pos] != ')')
        p->failed = true;
    p->pos++;
}

static void lit_sequence(LitParser *p, LitSet *ret)
{
    LitSet acc = {0};
    litset_add(p, &acc, S(""), 1);
    while (!p->failed && p->pos < p->text.len) {
        char c = p->text.at[p->pos];
        if (c == '|' || c == ')')
            break;
        LitSet atom = {0};
        Str one;
        if (c == '(') {
            lit_group(p, &atom);
        } else if (c == '[') {
            lit_class(p, &atom);
        } else if (c == '\\') {
            if (lit_escape(p, &one))
                litset_add(p, &atom, one, 1);
            else
                p->failed = true;
        } else if (is_meta(c) || c == 0) {
            p->failed = true;
        } else {
            size_t i = p->pos;
            while (i < p->text.len && !is_meta(p->text.at[i]) && p->text.at[i])
                i++;
            /* A quantifier binds to the last character alone. */
            if (i < p->text.len && p->text.at[i] == '?') {
                size_t last = i - 1;
                while (last > p->pos && ((u8)p->text.at[last] & 0xc0) == 0x80)
                    last--;
                if (last > p->pos)
                    i = last;
            }
            litset_add(p, &atom, str_sub(p->text, p->pos, i), 1);
            p->pos = i;
        }
        if (p->failed)
            return;
        if (p->pos < p->text.len && p->text.at[p->pos] == '?') {
            p->pos++;
            litset_add(p, &atom, S(""), CROSS_MAX);
        }
        if (p->pos < p->text.len && strchr("*+{?", p->text.at[p->pos]) && p->text.at[p->pos])
            p->failed = true;
        if (!p->failed)
            litset_cross(p, &acc, &atom);
    }
    *ret = acc;
}

static void lit_alternation(LitParser *p, LitSet *ret, u32 max)
{
    for (;;) {
        LitSet one = {0};
        lit_sequence(p, &one);
        for (u32 i = 0; i < one.len && !p->failed; i++)
            litset_add(p, ret, one.at[i], max);
        if (p->failed || p->pos >= p->text.len || p->text.at[p->pos] != '|')
            return;
        p->pos++;
    }
}

static bool find_literals(Regex *r, Str pattern, bool *ret_capture)
{
    LitParser p = {.text = pattern, .arena = &r->arena};
    LitSet set = {0};
    lit_alternation(&p, &set, LITERALS_SET_MAX);
    if (p.failed || p.pos != pattern.len || arena_over(&r->arena))
        return false;
    *ret_capture = p.has_capture;
    /* One literal once: (a|a) names a alone. */
    u32 n = 0;
    for (u32 i = 0; i < set.len; i++) {
        if (set.len > 8) {
            if (strmap_has(&r->set, set.at[i]))
                continue;
            strmap_put(&r->set, set.at[i], r);
        } else {
            bool seen = false;
            for (u32 k = 0; k < n; k++)
                seen |= str_eq(set.at[k], set.at[i]);
            if (seen)
                continue;
        }
        set.at[n++] = set.at[i];
    }
    r->lits = set.at;
    r->lits_len = n;
    r->shape = SHAPE_LITERALS;
    return true;
}

/* ---- understanding head.*middle.*tail ---- */
static bool find_parts(Regex *r, Str pattern)
{
    Str *slot[3] = {&r->parts.head, &r->parts.middle, &r->parts.tail};
    Buf lit;
    buf_init(&lit, PATTERN_BYTES_MAX);
    LitParser p = {.text = pattern, .arena = &r->arena};
    bool good = true;
    int wild = 0;
    Parts parts = {0};
    while (good && p.pos < pattern.len) {
        char c = pattern.at[p.pos];
        Str one;
        if (c == '.') {
            char q = p.pos + 1 < pattern.len ? pattern.at[p.pos + 1] : 0;
            char after = p.pos + 2 < pattern.len ? pattern.at[p.pos + 2] : 0;
            if ((q != '*' && q != '+') || (after && strchr("*+?{", after)) || wild == 2) {
                good = false;
                break;
            }
            *slot[wild] = arena_dup(&r->arena, buf_view(&lit));
            buf_clear(&lit);
            parts.plus[wild++] = q == '+';
            p.pos += 2;
        } else if (c == '\\') {
            good = lit_escape(&p, &one);
            if (good)
                buf_str(&lit, one);
        } else if (is_meta(c) || c == 0) {
            good = false;
        } else {
            buf_char(&lit, c);
            p.pos++;
        }
        if (good && p.pos < pattern.len && strchr("*+?{", pattern.at[p.pos]))
            good = false;
    }
    good = good && wild > 0 && !buf_over(&lit);
    if (good) {
        Str last = arena_dup(&r->arena, buf_view(&lit));
        parts.head = r->parts.head;
        if (wild == 2)
            parts.middle = r->parts.middle;
        parts.tail = last;
        parts.wild = wild;
        r->parts = parts;
        r->shape = SHAPE_PARTS;
        /* ".*.+" and the like: a wild middle without text is RE2's. */
        if (wild == 2 && parts.middle.len == 0)
            good = false;
    }
    if (!good) {
        r->shape = SHAPE_RE2;
        r->parts = (Parts){0};
    }
    buf_done(&lit);
    return good;
}

static bool parts_match(const Parts *p, Str s)
{
    if (s.len < p->head.len + p->tail.len || !str_starts(s, p->head) || !str_ends(s, p->tail))
        return false;
    Str mid = str_sub(s, p->head.len, s.len - p->tail.len);
    if (p->wild == 1)
        return !p->plus[0] || mid.len > 0;
    size_t from = p->plus[0] ? 1 : 0, to = p->plus[1] ? 1 : 0;
    if (mid.len < from + to)
        return false;
    return str_find(str_sub(mid, from, mid.len - to), p->middle) != SIZE_MAX;
}

/* What every match begins with: plain characters up to the first special one, less what a quantifier takes back. */
static Str find_prefix(Regex *r, Str pattern)
{
    int depth = 0;
    /* Parentheses inside classes and quotes are no groups: where there are any, each bar counts as one of the whole. */
    bool is_doubtful = str_find_char(pattern, '[') != SIZE_MAX || str_find(pattern, S("\\Q")) != SIZE_MAX;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.at[i];
        if (c == '\\')
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')')
            depth--;
        else if (c == '|' && (depth == 0 || is_doubtful))
            return S("");
    }
    Buf lit;
    buf_init(&lit, PATTERN_BYTES_MAX);
    LitParser p = {.text = pattern, .arena = &r->arena};
    size_t last_len = 0;
    while (p.pos < pattern.len) {
        char c = pattern.at[p.pos];
        Str one;
        if (c == '\\') {
            if (!lit_escape(&p, &one))
                break;
            last_len = lit.len;
            buf_str(&lit, one);
        } else if (is_meta(c) || c == 0) {
            if (strchr("*?{", c) && c)
                lit.len = MIN(lit.len, last_len);
            break;
        } else {
            size_t n = 1;
            while (p.pos + n < pattern.len && ((u8)pattern.at[p.pos + n] & 0xc0) == 0x80)
                n++;
            last_len = lit.len;
            buf_put(&lit, pattern.at + p.pos, n);
            p.pos += n;
        }
    }
    Str ret = arena_dup(&r->arena, buf_view(&lit));
    buf_done(&lit);
    return ret;
}

/* ---- making ---- */

/* Copies the pattern with (?<name> written as (?P<name>, and refuses what RE2 takes but Go does not. */
static Err rewrite(Str pattern, Buf *out, Why *why)
{
    bool in_class = false, in_quote = false;
    int depth = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.at[i];
        char next = i + 1 < pattern.len ? pattern.at[i + 1] : 0;
        if (in_quote) {
            if (c == '\\' && next == 'E')
                in_quote = false;
            buf_char(out, c);
            continue;
        }
        if (c == '\\' && next) {
            if (next == 'C')
                return why_set(why, E_INVALID, "error parsing regexp: invalid escape sequence: `\\C`");
            if (next == 'Q' && !in_class)
                in_quote = true;
            if (next != '_') /* Go takes \_ for _, RE2 does not */
                buf_char(out, c);
            buf_char(out, next);
            i++;
            continue;
        }
        if (in_class) {
            if (c == '[' && next == ':') { /* [[:alpha:]] */
                size_t end = str_find(str_skip(pattern, i + 2), S(":]"));
                if (end != SIZE_MAX) {
                    buf_str(out, str_sub(pattern, i, i + 2 + end + 2));
                    i += 2 + end + 1;
                    continue;
                }
            }
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
            buf_char(out, c);
            if (next == '^') {
                buf_char(out, next);
                i++;
                next = i + 1 < pattern.len ? pattern.at[i + 1] : 0;
            }
            if (next == ']') { /* a first ] is a member */
                buf_char(out, next);
                i++;
            }
            continue;
        } else if (c == '(') {
            depth++;
            Str rest = str_skip(pattern, i);
            if (str_starts(rest, S("(?<")) && !str_starts(rest, S("(?<=")) && !str_starts(rest, S("(?<!"))) {
                buf_c(out, "(?P<");
                i += 2;
                continue;
            }
        } else if (c == ')') {
            if (--depth < 0)
                return why_set(why, E_INVALID, "error parsing regexp: unexpected ): `%.*s`",
                               (int)MIN(pattern.len, 200), pattern.at);
        }
        buf_char(out, c);
    }
    return OK;
}

static Err compile(Regex *r, Str pattern, Why *why)
{
    if (pattern.len > PATTERN_BYTES_MAX)
        return why_set(
            why, E_INVALID,
            "regular expression of %zu bytes is over the limit of %u; only alternations of plain words "
            "may be longer",
            pattern.len, PATTERN_BYTES_MAX);
    Buf bare, text;
    buf_init(&bare, 2 * PATTERN_BYTES_MAX + 16);
    buf_init(&text, 2 * PATTERN_BYTES_MAX + 32);
    Err e = rewrite(pattern, &bare, why);
    if (e == OK) {
        char err[512];
        size_t memory = (16u << 20) + 2048 * pattern.len;
        if (r->is_anchored) {
            buf_c(&text, "(?s:");
            buf_str(&text, buf_view(&bare));
            buf_char(&text, ')');
        } else {
            buf_str(&text, buf_view(&bare));
        }
        r->re = cxx_re2_new(buf_view(&text).at, text.len, memory, err, sizeof err);
        if (!r->re) {
            /* The sentence should quote the pattern as written, without our wrapping. */
            CxxRe2 *again =
                r->is_anchored ? cxx_re2_new(buf_view(&bare).at, bare.len, memory, err, sizeof err) : NULL;
            cxx_re2_free(again);
            e = why_set(why, E_INVALID, "%s", err);
        } else {
            r->groups = (u32)cxx_re2_groups(r->re);
        }
    }
    buf_done(&bare);
    buf_done(&text);
    return e;
}

Err regex_new(Str pattern, int flags, Regex **ret, Why *why)
{
    if (!str_is_utf8(pattern))
        return why_set(why, E_INVALID, "error parsing regexp: invalid UTF-8");
    Regex *r = mem_new(Regex);
    arena_init(&r->arena, NULL, 64u << 20);
    r->arena.next_block_bytes = 256; /* most are short, and ten thousand silences hold one each */
    r->is_anchored = (flags & REGEX_ANCHORED) != 0;
    bool capture = false, done = false;
    if (r->is_anchored && !(flags & REGEX_PLAIN))
        done = find_literals(r, pattern, &capture) || find_parts(r, pattern);
    if (!done || capture) {
        Err e = compile(r, pattern, why);
        if (e != OK) {
            regex_free(r);
            return e;
        }
    }
    /* The parsers above keep slices of the pattern: make them ours. */
    for (u32 i = 0; i < r->lits_len; i++)
        r->lits[i] = arena_dup(&r->arena, r->lits[i]);
    r->prefix =
        r->shape == SHAPE_LITERALS ? (r->lits_len == 1 ? r->lits[0] : S("")) : find_prefix(r, pattern);
    *ret = r;
    return OK;
}

void regex_free(Regex *r)
{
    if (!r)
        return;
    cxx_re2_free(r->re);
    strmap_done(&r->set);
    arena_done(&r->arena);
    mem_free(r);
}

/* ---- matching ---- */
static bool literals_match(const Regex *r, Str s)
{
    if (r->lits_len > 8)
        return strmap_has(&r->set, s);
    for (u32 i = 0; i < r->lits_len; i++)
        if (str_eq(r->lits[i], s))
            return true;
    return false;
}

bool regex_match(const Regex *r, Str s)
{
    switch (r->shape) {
    case SHAPE_LITERALS:
        return literals_match(r, s);
    case SHAPE_PARTS:
        return parts_match(&r->parts, s);
    default:
        return cxx_re2_match(r->re, s.len ? s.at : "", s.len, 0, r->is_anchored, NULL, 0);
    }
}

bool regex_find(const Regex *r, Str s, size_t from, Str *ret_groups, u32 n)
{
    if (from > s.len || (r->is_anchored && from > 0))
        return false;
    if (!r->re) { /* a shortcut without groups: the whole text or nothing */
        if (!regex_match(r, s))
            return false;
        for (u32 i = 0; i < n; i++)
            ret_groups[i] = (Str){0};
        if (n)
            ret_groups[0] = s.len ? s : S("");
        return true;
    }
    enum { GROUPS_MAX = 65 };
    CxxSpan spans[GROUPS_MAX];
    u32 want = MIN(MIN(n, r->groups + 1), (u32)GROUPS_MAX);
    if (!cxx_re2_match(r->re, s.len ? s.at : "", s.len, from, r->is_anchored, spans, (int)want))
        return false;
    for (u32 i = 0; i < n; i++)
        ret_groups[i] = i < want ? str_of(spans[i].at, spans[i].len) : (Str){0};
    return true;
}

u32 regex_groups(const Regex *r)
{
    return r->groups;
}

int regex_group_index(const Regex *r, Str name)
{
    return r->re ? cxx_re2_group_index(r->re, name.at, name.len) : -1;
}

u32 regex_literals(const Regex *r, const Str **ret)
{
    if (r->shape != SHAPE_LITERALS || r->lits_len > LITERALS_NAMED_MAX)
        return 0;
    *ret = r->lits;
    return r->lits_len;
}

Str regex_prefix(const Regex *r)
{
    return r->prefix;
}

/* ---- expanding ---- */
static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The name after a '$' and how many bytes it took; 0 when there is none (the '$' then stands for itself). */
static size_t expand_name(Str rest, Str *ret_name)
{
    bool brace = rest.len && rest.at[0] == '{';
    size_t i = brace ? 1 : 0, start = i;
    while (i < rest.len && is_word(rest.at[i]))
        i++;
    *ret_name = str_sub(rest, start, i);
    if (i == start)
        return 0;
    if (brace) {
        if (i >= rest.len || rest.at[i] != '}')
            return 0;
        i++;
    }
    return i;
}

/* Group number of an all-digit name, -1 when it is a word. "01" is a word, as in Go. */
static int expand_number(Str name)
{
    if (name.len > 8 || (name.len > 1 && name.at[0] == '0'))
        return -1;
    int n = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] < '0' || name.at[i] > '9')
            return -1;
        n = n * 10 + (name.at[i] - '0');
    }
    return n;
}

void regex_expand(const Regex *r, Str templ, const Str *groups, u32 n, Buf *out)
{
    Str head, rest = templ;
    while (str_cut(rest, '$', &head, &rest)) {
        buf_str(out, head);
        if (rest.len && rest.at[0] == '$') {
            buf_char(out, '$');
            rest = str_skip(rest, 1);
            continue;
        }
        Str name;
        size_t used = expand_name(rest, &name);
        if (!used) {
            buf_char(out, '$');
            continue;
        }
        rest = str_skip(rest, used);
        int group = expand_number(name);
        if (group < 0)
            group = regex_group_index(r, name);
        if (group >= 0 && (u32)group < n && groups[group].at)
            buf_str(out, groups[group]);
    }
    buf_str(out, head);
}

void regex_replace_all(const Regex *r, Str s, Str templ, Buf *out)
{
    enum { GROUPS_MAX = 65 };
    Str groups[GROUPS_MAX] = {{0}};
    u32 n = MIN(r->groups + 1, (u32)GROUPS_MAX);
    size_t last_end = 0, pos = 0;
    while (pos <= s.len && !buf_over(out)) {
        if (!regex_find(r, s, pos, groups, n))
            break;
        size_t from = s.len ? (size_t)(groups[0].at - s.at) : 0, to = from + groups[0].len;
        buf_str(out, str_sub(s, last_end, from));
        if (to > last_end || from == 0) /* no empty match right after a match */
            regex_expand(r, templ, groups, n, out);
        last_end = to;
        u32 rune;
        size_t width = str_rune(str_skip(s, pos), &rune);
        if (pos + width > to)
            pos += width;
        else
            pos = pos + 1 > to ? pos + 1 : to;
    }
    buf_str(out, str_skip(s, last_end));
}
