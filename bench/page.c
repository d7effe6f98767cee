#include "page.h"
#include "text/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIGITS_MAX = 18, PLACES_MAX = 9 };

typedef struct Decimal {
    i64 m; /* value = m / 10^scale */
    i32 scale;
} Decimal;

typedef struct Moving {
    VEC(Str) texts; /* as seen, in order; slices of the tape */
    VEC(i64) steps; /* not zero, in units */
    i64 first, low, high, unit, mean;
    u32 still; /* how many steps of a thousand were none */
    i32 scale; /* of all of them; < 0: no decimals, texts alternate */
    f64 factor; /* not 0: the exporter multiplies an integer by this, and prints what floating point makes of it */
    bool grows; /* never shrinks */
} Moving;

typedef struct Piece {
    Str text;   /* what stands before the value */
    u32 moving; /* UINT32_MAX: constant, the value is in the text */
} Piece;

struct PageModel {
    Buf tape;
    u32 series;
    VEC(Piece) pieces;
    VEC(Moving) moving;
};

struct PageState {
    u64 random;
    i64 at[]; /* per moving series: its mantissa, or the index of its text */
};

/* ---- decimals ---- */

static bool decimal_read(Str s, Decimal *ret)
{
    size_t i = 0;
    bool negative = s.len && s.at[0] == '-', point = false;
    int digits = 0, exp = 0;
    *ret = (Decimal){0};
    for (i = negative; i < s.len && s.at[i] != 'e'; i++) {
        if (s.at[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (s.at[i] < '0' || s.at[i] > '9' || (digits && ++digits > DIGITS_MAX))
            return false;
        digits = digits ? digits : s.at[i] != '0';
        ret->m = ret->m * 10 + (s.at[i] - '0');
        ret->scale += point;
    }
    if (i < s.len) {
        bool down = i + 1 < s.len && s.at[i + 1] == '-';
        for (i += 2; i < s.len && exp < 100; i++)
            exp = exp * 10 + (s.at[i] - '0');
        ret->scale += down ? exp : -exp;
    }
    for (; ret->scale < 0; ret->scale++) {
        if (ret->m > INT64_MAX / 1000)
            return false;
        ret->m *= 10;
    }
    ret->m = negative ? -ret->m : ret->m;
    return ret->scale <= DIGITS_MAX;
}

static bool decimal_rescale(Decimal *d, i32 scale)
{
    for (; d->scale < scale; d->scale++) {
        if (d->m > INT64_MAX / 1000 || d->m < INT64_MIN / 1000)
            return false;
        d->m *= 10;
    }
    return true;
}

/* As Go's 'g' with shortest digits: an exponent below 1e-4 and from 1e6 on. out has room for 32 bytes. */
static size_t decimal_print(i64 m, i32 scale, char *out)
{
    char d[24];
    int len = 0, n = 0;
    if (m == 0) {
        out[0] = '0';
        return 1;
    }
    for (u64 u = m < 0 ? -(u64)m : (u64)m; u; u /= 10)
        d[sizeof d - 1 - (size_t)len++] = (char)('0' + u % 10);
    const char *at = d + sizeof d - len;
    int exp = len - 1 - scale;
    while (len > 1 && at[len - 1] == '0')
        len--;
    if (m < 0)
        out[n++] = '-';
    if (exp < -4 || exp >= 6) {
        out[n++] = at[0];
        if (len > 1)
            out[n++] = '.';
        for (int i = 1; i < len; i++)
            out[n++] = at[i];
        int e = exp < 0 ? -exp : exp;
        out[n++] = 'e';
        out[n++] = exp < 0 ? '-' : '+';
        out[n++] = (char)('0' + e / 10);
        out[n++] = (char)('0' + e % 10);
        return (size_t)n;
    }
    for (int i = exp < 0 ? exp : 0; i < len || i <= exp; i++) {
        if (i == (exp < 0 ? exp : 0) + 1 && exp < 0)
            out[n++] = '.';
        else if (i == exp + 1 && exp >= 0)
            out[n++] = '.';
        out[n++] = i < 0 || i >= len ? '0' : at[i];
    }
    return (size_t)n;
}

/* ---- learning ---- */

static i64 gcd(i64 a, i64 b)
{
    for (a = a < 0 ? -a : a, b = b < 0 ? -b : b; b;) {
        i64 r = a % b;
        a = b;
        b = r;
    }
    return a;
}

typedef VEC(i64) Mantissas;

/* All texts as decimals of one scale. */
static bool read_decimals(Moving *s, Mantissas *ret, bool *ret_is_exact)
{
    VEC(Decimal) seen = {0};
    bool ok = true;
    *ret_is_exact = true;
    for (size_t i = 0; ok && i < s->texts.len; i++) {
        Decimal d;
        ok = decimal_read(s->texts.at[i], &d);
        s->scale = MAX(s->scale, d.scale);
        *ret_is_exact &= ok && llabs(d.m) < 1000000000000000;
        vec_push(&seen, d);
    }
    ret->len = 0;
    for (size_t i = 0; ok && i < seen.len; i++) {
        ok = decimal_rescale(&seen.at[i], s->scale);
        vec_push(ret, seen.at[i].m);
    }
    vec_done(&seen);
    return ok;
}

/* All texts as integers times a power of ten, computed in floating point as exporters do (milliseconds * 0.001). */
static bool read_products(Moving *s, Mantissas *ret)
{
    f64 scale = 1;
    for (i32 places = 0; places <= PLACES_MAX; places++, scale *= 10) {
        ret->len = 0;
        for (size_t i = 0; i < s->texts.len; i++) {
            f64 v, m;
            if (parse_f64(s->texts.at[i], &v) != OK || !(fabs(v) < 1e12))
                return false;
            m = nearbyint(v * scale);
            if (m * (1 / scale) != v)
                break;
            vec_push(ret, (i64)m);
        }
        s->scale = places;
        s->factor = 1 / scale;
        if (ret->len == s->texts.len)
            return true;
    }
    s->factor = 0;
    return false;
}

/* From the texts seen to steps; scale -1 when they are no numbers we can step. */
static void moving_learn(Moving *s, bool is_counter)
{
    Mantissas seen = {0};
    bool is_exact, ok = read_decimals(s, &seen, &is_exact);
    i32 scale = s->scale;
    if ((!ok || !is_exact) && !read_products(s, &seen)) {
        s->scale = 0;
        ok = ok && read_decimals(s, &seen, &is_exact) && s->scale == scale;
        s->scale = ok ? scale : -1;
    }
    if (s->scale < 0) {
        vec_done(&seen);
        return;
    }
    s->first = s->low = s->high = seen.at[0];
    i64 least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 1; i < seen.len; i++) {
        i64 step = seen.at[i] - seen.at[i - 1];
        s->low = MIN(s->low, seen.at[i]);
        s->high = MAX(s->high, seen.at[i]);
        s->unit = gcd(s->unit, step);
        least = MIN(least, step);
        most = MAX(most, step);
        if (step)
            vec_push(&s->steps, step);
    }
    if (s->unit == 0) { /* one number in two spellings */
        s->scale = -1;
        vec_done(&seen);
        return;
    }
    for (size_t i = 0; i < s->steps.len; i++)
        s->steps.at[i] /= s->unit;
    s->still = (u32)(1000 - 1000 * s->steps.len / (seen.len - 1));
    s->grows = least >= 0 && (is_counter || most < 2 * least); /* the latter are clocks */
    s->mean = (seen.at[seen.len - 1] - s->first) / (i64)(seen.len - 1) / s->unit;
    vec_done(&seen);
}

/* One sample line to its series and its value. */
static bool line_split(Str line, Str *ret_key, Str *ret_value)
{
    size_t at = line.len;
    while (at && line.at[at - 1] != ' ')
        at--;
    if (!at || line.at[0] == '#')
        return false;
    *ret_key = str_sub(line, 0, at);
    *ret_value = str_skip(line, at);
    return true;
}

typedef struct Seen {
    VEC(Str) values;
    bool is_counter;
} Seen;

/* All pages by series; returns how many pages there are. */
static u32 tape_read(Str tape, StrMap *seen)
{
    Str line, key, value;
    u32 pages = 0;
    bool is_counter = false;
    while (tape.len) {
        str_cut(tape, '\n', &line, &tape);
        if (str_eq(line, S("# page")))
            pages++;
        else if (str_starts(line, S("# TYPE ")))
            is_counter = !str_ends(line, S(" gauge")) && !str_ends(line, S(" untyped"));
        if (!line_split(line, &key, &value))
            continue;
        Seen *s = strmap_find(seen, key);
        if (!s) {
            s = mem_new(Seen);
            strmap_put(seen, key, s);
        }
        s->is_counter = is_counter;
        vec_push(&s->values, value);
    }
    return pages;
}

/* The first page cut into text and moving values. */
static void model_cut(PageModel *m, Str page, StrMap *seen)
{
    Str line, key, value;
    const char *from = page.at;
    while (page.len && !str_starts(page, S("# page\n"))) {
        str_cut(page, '\n', &line, &page);
        if (!line_split(line, &key, &value))
            continue;
        m->series++;
        Seen *s = strmap_find(seen, key);
        bool moves = false;
        for (size_t i = 1; i < s->values.len; i++)
            moves |= !str_eq(s->values.at[i], s->values.at[0]);
        if (!moves)
            continue;
        Moving x = {0};
        for (size_t i = 0; i < s->values.len; i++)
            vec_push(&x.texts, s->values.at[i]);
        moving_learn(&x, s->is_counter);
        vec_push(&m->pieces, (Piece){str_of(from, (size_t)(value.at - from)), (u32)m->moving.len});
        vec_push(&m->moving, x);
        from = value.at + value.len;
    }
    vec_push(&m->pieces, (Piece){str_of(from, (size_t)(page.at - from)), UINT32_MAX});
}

PageModel *page_model_read(const char *path, Why *why)
{
    PageModel *m = mem_new(PageModel);
    buf_init(&m->tape, 256u << 20);
    FILE *f = fopen(path, "rb");
    if (!f) {
        why_set(why, E_IO, "cannot read %s", path);
        return NULL;
    }
    char chunk[65536];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(&m->tape, chunk, n);
    fclose(f);
    StrMap seen = {0};
    u32 pages = tape_read(buf_view(&m->tape), &seen);
    if (pages < 3) {
        why_set(why, E_INVALID, "%s: a tape has at least three pages, each ended by a line \"# page\"", path);
        return NULL;
    }
    model_cut(m, buf_view(&m->tape), &seen);
    StrMapSlot *slot;
    for (size_t i = 0; (slot = strmap_next(&seen, &i));) {
        Seen *s = slot->value;
        vec_done(&s->values);
        mem_free(s);
    }
    strmap_done(&seen);
    return m;
}

u32 page_model_series(const PageModel *m)
{
    return m->series;
}

u32 page_model_moving(const PageModel *m)
{
    return (u32)m->moving.len;
}

/* ---- moving ---- */

PageState *page_state_new(const PageModel *m, u64 seed, u32 target)
{
    PageState *s = mem_alloc(sizeof *s + m->moving.len * sizeof s->at[0]);
    u64 key[2] = {seed, target};
    s->random = hash_bytes(key, sizeof key, 7) | 1;
    for (size_t i = 0; i < m->moving.len; i++) {
        const Moving *x = &m->moving.at[i];
        s->at[i] = x->scale < 0 ? 0 : x->first;
        if (x->scale >= 0 && x->grows) /* targets have not run for equally long */
            s->at[i] += x->mean * x->unit * (i64)(page_random(&s->random) % 5000);
    }
    return s;
}

static i64 moving_step(const Moving *x, i64 at, u64 *random)
{
    u64 r = page_random(random);
    if (x->scale < 0)
        return (i64)(r % x->texts.len);
    if (r % 1000 < x->still)
        return at;
    i64 a = x->steps.at[(r >> 10) % x->steps.len], b = x->steps.at[(r >> 30) % x->steps.len];
    i64 step = (a + (i64)((f64)(b - a) * ((f64)(r >> 50) / 16384.0))) * x->unit;
    if (x->grows)
        return at + step;
    if (at + step < x->low || at + step > x->high)
        step = -step;
    return MAX(x->low, MIN(x->high, at + step));
}

void page_step(const PageModel *m, PageState *s)
{
    for (size_t i = 0; i < m->moving.len; i++)
        s->at[i] = moving_step(&m->moving.at[i], s->at[i], &s->random);
}

void page_render(const PageModel *m, const PageState *s, Buf *out)
{
    for (size_t i = 0; i < m->pieces.len; i++) {
        const Piece *p = &m->pieces.at[i];
        if (!buf_reserve(out, p->text.len + 32))
            return;
        memcpy(out->at + out->len, p->text.at, p->text.len);
        out->len += p->text.len;
        if (p->moving == UINT32_MAX)
            continue;
        const Moving *x = &m->moving.at[p->moving];
        if (x->scale < 0)
            buf_str(out, x->texts.at[s->at[p->moving]]);
        else if (x->factor != 0)
            print_f64_g(out, (f64)s->at[p->moving] * x->factor);
        else
            out->len += decimal_print(s->at[p->moving], x->scale, out->at + out->len);
    }
}
