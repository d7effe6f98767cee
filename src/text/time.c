/* Calendars: proleptic Gregorian dates, zones from the system's tzdata (TZif files), Go's layouts, RFC 3339. */
#include "text/text.h"

#include <math.h>
#include <stdio.h>

/* ---- civil dates ---- */

/* Days since 1970-01-01 of a date; months count from March so that the leap day comes last. */
static i64 days_from_civil(i64 y, int m, int d)
{
    y -= m <= 2;
    i64 era = (y >= 0 ? y : y - 399) / 400;
    i64 yoe = y - era * 400;
    i64 doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool is_leap(i64 y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(i64 y, int m)
{
    static const u8 days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

#define YEAR_SECONDS_MAX (4000000LL * 365 * 86400)

void civil_from_unix(i64 sec, Civil *ret)
{
    /* Years past a few million are nobody's dates; clamping keeps the arithmetic in range. */
    sec = MAX(MIN(sec, YEAR_SECONDS_MAX), -YEAR_SECONDS_MAX);
    i64 days = sec / 86400, rem = sec % 86400;
    if (rem < 0) {
        rem += 86400;
        days--;
    }
    i64 z = days + 719468;
    i64 era = (z >= 0 ? z : z - 146096) / 146097;
    i64 doe = z - era * 146097;
    i64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    i64 y = yoe + era * 400;
    i64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    i64 mp = (5 * doy + 2) / 153;
    int d = (int)(doy - (153 * mp + 2) / 5 + 1), m = (int)(mp < 10 ? mp + 3 : mp - 9);
    y += m <= 2;
    i64 wd = (days + 4) % 7;
    *ret = (Civil){.year = (int)y,
                   .month = m,
                   .day = d,
                   .hour = (int)(rem / 3600),
                   .minute = (int)(rem / 60 % 60),
                   .second = (int)(rem % 60),
                   .weekday = (int)(wd < 0 ? wd + 7 : wd),
                   .yday = (int)(days - days_from_civil(y, 1, 1)),
                   .zone = "UTC"};
}

i64 civil_to_unix(const Civil *c)
{
    return days_from_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600LL + c->minute * 60LL +
           c->second;
}

/* ---- zones ---- */

/* The rule after the last transition: "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ, as TZif footers carry it). */
typedef struct PosixRule {
    enum { RULE_JULIAN, RULE_DAY, RULE_MONTH } kind;
    int month, week, day;
    i32 at_s;
} PosixRule;
typedef struct PosixTz {
    char std_name[8], dst_name[8];
    i32 std_off_s, dst_off_s;
    bool has_dst;
    PosixRule start, end;
} PosixTz;

typedef struct ZoneType {
    i32 off_s;
    bool is_dst;
    char name[8];
} ZoneType;
struct Zone {
    i64 *at; /* transitions, ascending */
    u8 *type;
    u32 len;
    ZoneType *types;
    u32 types_len;
    bool has_rule;
    PosixTz rule;
};

static void name_set(char name[8], Str s)
{
    size_t n = MIN(s.len, 7);
    if (n)
        memcpy(name, s.at, n);
    name[n] = 0;
}

static bool posix_name(Str *s, char name[8])
{
    size_t i = 0;
    if (s->len && s->at[0] == '<') {
        i = str_find_char(*s, '>');
        if (i == SIZE_MAX)
            return false;
        name_set(name, str_sub(*s, 1, i));
        *s = str_skip(*s, i + 1);
        return true;
    }
    while (i < s->len && ((s->at[i] | 32) >= 'a' && (s->at[i] | 32) <= 'z'))
        i++;
    name_set(name, str_sub(*s, 0, i));
    *s = str_skip(*s, i);
    return i >= 3;
}

static bool posix_int(Str *s, int max, int *ret)
{
    int v = 0;
    size_t i = 0;
    for (; i < s->len && s->at[i] >= '0' && s->at[i] <= '9' && i < 4; i++)
        v = v * 10 + (s->at[i] - '0');
    if (i == 0 || v > max)
        return false;
    *s = str_skip(*s, i);
    *ret = v;
    return true;
}

static bool posix_hms(Str *s, i32 *ret)
{
    int sign = 1, h = 0, m = 0, sec = 0;
    if (s->len && (s->at[0] == '-' || s->at[0] == '+')) {
        sign = s->at[0] == '-' ? -1 : 1;
        *s = str_skip(*s, 1);
    }
    if (!posix_int(s, 167, &h))
        return false;
    if (s->len && s->at[0] == ':') {
        *s = str_skip(*s, 1);
        if (!posix_int(s, 59, &m))
            return false;
        if (s->len && s->at[0] == ':') {
            *s = str_skip(*s, 1);
            if (!posix_int(s, 59, &sec))
                return false;
        }
    }
    *ret = sign * (h * 3600 + m * 60 + sec);
    return true;
}

static bool posix_eat(Str *s, char c)
{
    if (!s->len || s->at[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool posix_rule(Str *s, PosixRule *r)
{
    r->at_s = 7200;
    if (posix_eat(s, 'M')) {
        r->kind = RULE_MONTH;
        if (!posix_int(s, 12, &r->month) || r->month < 1 || !posix_eat(s, '.') ||
            !posix_int(s, 5, &r->week) || r->week < 1 || !posix_eat(s, '.') || !posix_int(s, 6, &r->day))
            return false;
    } else {
        r->kind = posix_eat(s, 'J') ? RULE_JULIAN : RULE_DAY;
        if (!posix_int(s, 366, &r->day))
            return false;
    }
    return !posix_eat(s, '/') || posix_hms(s, &r->at_s);
}

static bool posix_parse(Str s, PosixTz *tz)
{
    memset(tz, 0, sizeof *tz);
    if (!posix_name(&s, tz->std_name) || !posix_hms(&s, &tz->std_off_s))
        return false;
    tz->std_off_s = -tz->std_off_s;
    if (!s.len)
        return true;
    tz->has_dst = true;
    if (!posix_name(&s, tz->dst_name))
        return false;
    tz->dst_off_s = tz->std_off_s + 3600;
    if (s.len && s.at[0] != ',') {
        if (!posix_hms(&s, &tz->dst_off_s))
            return false;
        tz->dst_off_s = -tz->dst_off_s;
    }
    return posix_eat(&s, ',') && posix_rule(&s, &tz->start) && posix_eat(&s, ',') &&
           posix_rule(&s, &tz->end) && !s.len;
}

/* Seconds since the start of the year, in the wall time that was in force before the rule. */
static i64 rule_second(const PosixRule *r, i64 year)
{
    i64 day;
    if (r->kind == RULE_JULIAN) {
        day = r->day - 1 + (is_leap(year) && r->day >= 60);
    } else if (r->kind == RULE_DAY) {
        day = r->day;
    } else {
        i64 first = days_from_civil(year, r->month, 1);
        int wd = (int)(((first + 4) % 7 + 7) % 7);
        int d = 1 + (r->day - wd + 7) % 7 + (r->week - 1) * 7;
        while (d > days_in_month(year, r->month))
            d -= 7;
        day = first + d - 1 - days_from_civil(year, 1, 1);
    }
    return day * 86400 + r->at_s;
}

static i32 posix_offset(const PosixTz *tz, i64 sec, const char **ret_name)
{
    *ret_name = tz->std_name;
    if (!tz->has_dst)
        return tz->std_off_s;
    Civil c;
    civil_from_unix(sec + tz->std_off_s, &c);
    i64 year0 = days_from_civil(c.year, 1, 1) * 86400;
    i64 start = year0 + rule_second(&tz->start, c.year) - tz->std_off_s;
    i64 end = year0 + rule_second(&tz->end, c.year) - tz->dst_off_s;
    bool dst = start < end ? sec >= start && sec < end : sec >= start || sec < end;
    if (!dst)
        return tz->std_off_s;
    *ret_name = tz->dst_name;
    return tz->dst_off_s;
}

static u32 be32(const char *p)
{
    const u8 *b = (const u8 *)p;
    return (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
}
static i64 be64(const char *p)
{
    return (i64)((u64)be32(p) << 32 | be32(p + 4));
}

typedef struct TzifHead {
    u32 isut, isstd, leap, times, types, chars;
} TzifHead;

static bool tzif_head(Str s, TzifHead *h)
{
    if (s.len < 44 || memcmp(s.at, "TZif", 4) != 0)
        return false;
    const char *p = s.at + 20;
    *h = (TzifHead){be32(p), be32(p + 4), be32(p + 8), be32(p + 12), be32(p + 16), be32(p + 20)};
    return h->times <= 100000 && h->types <= 256 && h->types > 0 && h->chars <= 4096 && h->leap <= 10000 &&
           h->isut <= 256 && h->isstd <= 256;
}

static size_t tzif_body(const TzifHead *h, size_t time_bytes)
{
    return h->times * (time_bytes + 1) + h->types * 6ul + h->chars + h->leap * (time_bytes + 4) + h->isstd +
           h->isut;
}

static void zone_free(Zone *z)
{
    mem_free(z->at);
    mem_free(z->type);
    mem_free(z->types);
    mem_free(z);
}

static Zone *tzif_parse(Str s)
{
    TzifHead h;
    size_t time_bytes = 4;
    if (!tzif_head(s, &h))
        return NULL;
    if (s.at[4] >= '2') {
        s = str_skip(s, 44 + tzif_body(&h, 4));
        time_bytes = 8;
        if (!tzif_head(s, &h))
            return NULL;
    }
    s = str_skip(s, 44);
    size_t body = tzif_body(&h, time_bytes);
    if (s.len < body)
        return NULL;
    Zone *z = mem_new(Zone);
    z->len = h.times;
    z->types_len = h.types;
    z->at = mem_zalloc((h.times + 1) * sizeof *z->at);
    z->type = mem_zalloc(h.times + 1);
    z->types = mem_zalloc(h.types * sizeof *z->types);
    const char *times = s.at, *kinds = times + h.times * time_bytes, *types = kinds + h.times;
    Str chars = str_of(types + h.types * 6ul, h.chars);
    bool good = true;
    for (u32 i = 0; i < h.times; i++) {
        const char *p = times + i * time_bytes;
        z->at[i] = time_bytes == 8 ? be64(p) : (i32)be32(p);
        z->type[i] = (u8)kinds[i];
        good = good && z->type[i] < h.types && (i == 0 || z->at[i] > z->at[i - 1]);
    }
    for (u32 i = 0; i < h.types; i++) {
        const char *p = types + i * 6ul;
        z->types[i].off_s = (i32)be32(p);
        z->types[i].is_dst = p[4] != 0;
        good = good && z->types[i].off_s > -100000 && z->types[i].off_s < 100000;
        Str name = str_skip(chars, (u8)p[5]);
        size_t nul = str_find_char(name, 0);
        name_set(z->types[i].name, str_sub(name, 0, MIN(nul, name.len)));
    }
    Str footer = str_skip(s, body), line;
    if (time_bytes == 8 && posix_eat(&footer, '\n') && str_cut(footer, '\n', &line, &footer) && line.len)
        z->has_rule = posix_parse(line, &z->rule);
    if (!good) {
        zone_free(z);
        return NULL;
    }
    return z;
}

static const Zone zone_utc = {0};

static bool zone_name_is_safe(Str name)
{
    if (!name.len || name.len > 64 || name.at[0] == '/' || str_find(name, S("..")) != SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("/_+-", c)) || !c)
            return false;
    }
    return true;
}

static Zone *zone_read(const char *path)
{
    Buf bytes;
    buf_init(&bytes, 1 << 20);
    Zone *z = NULL;
    if (vfs_read_file(vfs_os(), path, 1 << 20, &bytes, NULL) == OK)
        z = tzif_parse(buf_view(&bytes));
    buf_done(&bytes);
    return z;
}

Err zone_load(Str name, const Zone **ret, Why *why)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static StrMap cache;
    if (!name.len || str_eq(name, S("UTC")) || str_eq(name, S("Etc/UTC"))) {
        *ret = &zone_utc;
        return OK;
    }
    bool local = str_eq(name, S("Local"));
    if (!zone_name_is_safe(name))
        return why_set(why, E_INVALID, "unknown time zone %.*s", (int)MIN(name.len, 64), name.at);
    pthread_mutex_lock(&lock);
    Zone *z = strmap_find(&cache, name);
    if (!z) {
        char path[256];
        const char *tz = local ? getenv("TZ") : NULL;
        if (local && tz && *tz && zone_name_is_safe(str_c(*tz == ':' ? tz + 1 : tz)))
            snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", *tz == ':' ? tz + 1 : tz);
        else if (local)
            snprintf(path, sizeof path, "/etc/localtime");
        else
            snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", STR_FMT(name));
        z = zone_read(path);
        if (z)
            strmap_put(&cache, name, z);
    }
    pthread_mutex_unlock(&lock);
    if (!z && local) {
        *ret = &zone_utc;
        return OK;
    }
    if (!z)
        return why_set(why, E_NOT_FOUND, "unknown time zone %.*s (is the tzdata package installed?)",
                       STR_FMT(name));
    *ret = z;
    return OK;
}

void civil_in_zone(const Zone *z, i64 sec, Civil *ret)
{
    i32 off = 0;
    const char *name = "UTC";
    if (z && z->types_len) {
        u32 lo = 0, hi = z->len; /* first transition after sec */
        while (lo < hi) {
            u32 mid = (lo + hi) / 2;
            if (z->at[mid] <= sec)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo == z->len && z->has_rule) {
            off = posix_offset(&z->rule, sec, &name);
        } else {
            /* Before the first transition: the first type that is standard time. */
            u32 t = 0;
            if (lo > 0)
                t = z->type[lo - 1];
            else
                while (t + 1 < z->types_len && z->types[t].is_dst)
                    t++;
            off = z->types[t].off_s;
            name = z->types[t].name;
        }
    }
    civil_from_unix(sec + off, ret);
    ret->utc_offset_s = off;
    name_set(ret->zone, str_c(name));
}

/* ---- Go layouts ---- */
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};
static const char *const day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

static void print_offset(Buf *out, i32 off, bool z_for_utc, bool colon, bool minutes, bool seconds)
{
    if (z_for_utc && off == 0) {
        buf_char(out, 'Z');
        return;
    }
    buf_char(out, off < 0 ? '-' : '+');
    i32 a = off < 0 ? -off : off;
    buf_printf(out, "%02d", a / 3600);
    if (minutes)
        buf_printf(out, "%s%02d", colon ? ":" : "", a / 60 % 60);
    if (seconds)
        buf_printf(out, "%s%02d", colon ? ":" : "", a % 60);
}

static void print_fraction(Buf *out, Str chunk, i32 nanos)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%09d", nanos);
    size_t n = MIN(chunk.len - 1, 9);
    if (chunk.at[1] == '9') {
        while (n > 0 && digits[n - 1] == '0')
            n--;
        if (n == 0)
            return;
    }
    buf_char(out, chunk.at[0]);
    buf_put(out, digits, n);
}

/* Bytes of a fraction chunk (".000", ",999") at s: only if no further digit follows. */
static size_t fraction_chunk(Str s)
{
    if (s.len < 2 || (s.at[0] != '.' && s.at[0] != ',') || (s.at[1] != '0' && s.at[1] != '9'))
        return 0;
    size_t i = 1;
    while (i < s.len && s.at[i] == s.at[1])
        i++;
    return i < s.len && s.at[i] >= '0' && s.at[i] <= '9' ? 0 : i;
}

typedef struct LayoutChunk {
    const char *text;
    enum {
        L_MONTH,
        L_MON,
        L_WEEKDAY,
        L_WDAY,
        L_TZ,
        L_01,
        L_02,
        L_03,
        L_04,
        L_05,
        L_06,
        L_002,
        L_2006,
        L_15,
        L_1,
        L_2,
        L_U2,
        L_U2006,
        L_UU2,
        L_3,
        L_4,
        L_5,
        L_PM,
        L_pm,
        L_OFF
    } kind;
} LayoutChunk;

/* Longest first where one begins another. */
static const LayoutChunk chunks[] = {
    {"January", L_MONTH}, {"Jan", L_MON},     {"Monday", L_WEEKDAY}, {"Mon", L_WDAY}, {"MST", L_TZ},
    {"002", L_002},       {"01", L_01},       {"02", L_02},          {"03", L_03},    {"04", L_04},
    {"05", L_05},         {"06", L_06},       {"15", L_15},          {"1", L_1},      {"2006", L_2006},
    {"2", L_2},           {"_2006", L_U2006}, {"__2", L_UU2},        {"_2", L_U2},    {"3", L_3},
    {"4", L_4},           {"5", L_5},         {"PM", L_PM},          {"pm", L_pm},    {"-070000", L_OFF},
    {"-07:00:00", L_OFF}, {"-0700", L_OFF},   {"-07:00", L_OFF},     {"-07", L_OFF},  {"Z070000", L_OFF},
    {"Z07:00:00", L_OFF}, {"Z0700", L_OFF},   {"Z07:00", L_OFF},     {"Z07", L_OFF},
};

static const LayoutChunk *find_chunk(Str s)
{
    for (size_t i = 0; i < COUNT_OF(chunks); i++) {
        Str text = str_c(chunks[i].text);
        if (!str_starts(s, text))
            continue;
        /* "Jan" and "Mon" inside a longer lower-case word are text ("Month"). */
        bool word = chunks[i].kind == L_MON || chunks[i].kind == L_WDAY;
        if (word && s.len > 3 && s.at[3] >= 'a' && s.at[3] <= 'z')
            continue;
        return &chunks[i];
    }
    return NULL;
}

static void print_chunk(Buf *out, const Civil *c, const LayoutChunk *k)
{
    int h12 = c->hour % 12 ? c->hour % 12 : 12;
    switch (k->kind) {
    case L_MONTH:
        buf_c(out, month_names[(c->month + 11) % 12]);
        break;
    case L_MON:
        buf_put(out, month_names[(c->month + 11) % 12], 3);
        break;
    case L_WEEKDAY:
        buf_c(out, day_names[c->weekday % 7]);
        break;
    case L_WDAY:
        buf_put(out, day_names[c->weekday % 7], 3);
        break;
    case L_TZ:
        if (c->zone[0])
            buf_c(out, c->zone);
        else
            print_offset(out, c->utc_offset_s, false, false, true, false);
        break;
    case L_01:
        buf_printf(out, "%02d", c->month);
        break;
    case L_02:
        buf_printf(out, "%02d", c->day);
        break;
    case L_03:
        buf_printf(out, "%02d", h12);
        break;
    case L_04:
        buf_printf(out, "%02d", c->minute);
        break;
    case L_05:
        buf_printf(out, "%02d", c->second);
        break;
    case L_06:
        buf_printf(out, "%02d", (c->year % 100 + 100) % 100);
        break;
    case L_002:
        buf_printf(out, "%03d", c->yday + 1);
        break;
    case L_U2006:
        buf_char(out, '_');
        [[fallthrough]];
    case L_2006:
        buf_printf(out, c->year < 0 ? "-%04d" : "%04d", c->year < 0 ? -c->year : c->year);
        break;
    case L_15:
        buf_printf(out, "%02d", c->hour);
        break;
    case L_1:
        buf_printf(out, "%d", c->month);
        break;
    case L_2:
        buf_printf(out, "%d", c->day);
        break;
    case L_U2:
        buf_printf(out, "%2d", c->day);
        break;
    case L_UU2:
        buf_printf(out, "%3d", c->yday + 1);
        break;
    case L_3:
        buf_printf(out, "%d", h12);
        break;
    case L_4:
        buf_printf(out, "%d", c->minute);
        break;
    case L_5:
        buf_printf(out, "%d", c->second);
        break;
    case L_PM:
        buf_c(out, c->hour >= 12 ? "PM" : "AM");
        break;
    case L_pm:
        buf_c(out, c->hour >= 12 ? "pm" : "am");
        break;
    case L_OFF: {
        size_t n = strlen(k->text);
        bool colon = strchr(k->text, ':') != NULL;
        print_offset(out, c->utc_offset_s, k->text[0] == 'Z', colon, n > 3, n > 6);
        break;
    }
    }
}

void print_time_go(Buf *out, const Civil *c, Str layout)
{
    while (layout.len) {
        size_t fraction = fraction_chunk(layout);
        if (fraction) {
            print_fraction(out, str_sub(layout, 0, fraction), c->nanos);
            layout = str_skip(layout, fraction);
            continue;
        }
        const LayoutChunk *k = find_chunk(layout);
        if (k) {
            print_chunk(out, c, k);
            layout = str_skip(layout, strlen(k->text));
        } else {
            buf_char(out, layout.at[0]);
            layout = str_skip(layout, 1);
        }
    }
}

void print_rfc3339_ms(Buf *out, i64 unix_ms)
{
    i64 sec = unix_ms / 1000, ms = unix_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        sec--;
    }
    Civil c;
    civil_from_unix(sec, &c);
    c.nanos = (i32)(ms * 1000000);
    print_time_go(out, &c, S("2006-01-02T15:04:05.999999999Z07:00"));
}

void print_rfc3339_milli(Buf *out, i64 unix_ms)
{
    char text[] = "0000-00-00T00:00:00.000Z";
    i64 sec = unix_ms / 1000, ms = unix_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        sec--;
    }
    Civil c;
    civil_from_unix(sec, &c);
    const int at[] = {3, 6, 9, 12, 15, 18, 22}; /* where each number ends */
    const int value[] = {c.year, c.month, c.day, c.hour, c.minute, c.second, (int)ms},
              digits[] = {4, 2, 2, 2, 2, 2, 3};
    for (size_t i = 0; i < COUNT_OF(at); i++)
        for (int d = 0, v = value[i]; d < digits[i]; d++, v /= 10)
            text[at[i] - d] = (char)('0' + v % 10);
    buf_put(out, text, sizeof text - 1);
}

/* ---- reading ---- */
static bool digits_at(Str s, size_t at, size_t n, int *ret)
{
    if (at + n > s.len)
        return false;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s.at[at + i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *ret = v;
    return true;
}

static bool char_at(Str s, size_t at, char c)
{
    return at < s.len && s.at[at] == c;
}

Err parse_rfc3339(Str s, i64 *ret_unix_ns)
{
    Civil c = {0};
    if (!digits_at(s, 0, 4, &c.year) || !char_at(s, 4, '-') || !digits_at(s, 5, 2, &c.month) ||
        !char_at(s, 7, '-') || !digits_at(s, 8, 2, &c.day) || !(char_at(s, 10, 'T')) ||
        !digits_at(s, 11, 2, &c.hour) || !char_at(s, 13, ':') || !digits_at(s, 14, 2, &c.minute) ||
        !char_at(s, 16, ':') || !digits_at(s, 17, 2, &c.second))
        return E_PARSE;
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month) || c.hour > 23 ||
        c.minute > 59 || c.second > 59)
        return E_PARSE;
    size_t i = 19;
    i64 nanos = 0;
    if (char_at(s, i, '.') || char_at(s, i, ',')) {
        i64 unit = 100000000;
        size_t start = ++i;
        for (; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++, unit /= 10)
            nanos += (s.at[i] - '0') * unit;
        if (i == start)
            return E_PARSE;
    }
    i64 off = 0;
    if (char_at(s, i, 'Z')) {
        i++;
    } else {
        int h, m;
        if (!(char_at(s, i, '+') || char_at(s, i, '-')) || !digits_at(s, i + 1, 2, &h) ||
            !char_at(s, i + 3, ':') || !digits_at(s, i + 4, 2, &m) || h > 24 || m > 60)
            return E_PARSE;
        off = (h * 60LL + m) * 60;
        if (s.at[i] == '-')
            off = -off;
        i += 6;
    }
    if (i != s.len)
        return E_PARSE;
    i64 sec = civil_to_unix(&c) - off, ns;
    if (__builtin_mul_overflow(sec, NS_PER_SEC, &ns) || __builtin_add_overflow(ns, nanos, &ns))
        return E_PARSE;
    *ret_unix_ns = ns;
    return OK;
}

static i64 floor_ms(i64 ns)
{
    return ns / NS_PER_MS - (ns % NS_PER_MS < 0);
}

Err parse_api_time_ms(Str s, i64 *ret_ms)
{
    f64 v;
    if (parse_f64(s, &v) == OK) {
        if (!isfinite(v) || fabs(v) > 9.2e15)
            return E_PARSE;
        /* Whole seconds and thousandths apart, each rounded: 1.001 is 1001 ms, not 1000. */
        f64 whole, part = modf(v, &whole);
        *ret_ms = (i64)whole * 1000 + (i64)round(part * 1000);
        return OK;
    }
    i64 ns;
    if (parse_rfc3339(s, &ns) == OK) {
        *ret_ms = floor_ms(ns);
        return OK;
    }
    /* RFC 3339 dates outside the range of nanoseconds: minTime and maxTime of Prometheus's Go client. */
    if (str_eq(s, S("-292273086-05-16T16:47:06Z"))) {
        *ret_ms = -9223309901257974000;
        return OK;
    }
    if (str_eq(s, S("292277025-08-18T07:12:54.999999999Z"))) {
        *ret_ms = 9223309901257974999;
        return OK;
    }
    /* 0001-01-01 and 9999-12-31 are dates people send; only the nanoseconds overflow. */
    Civil c = {0};
    if (s.len == 20 && char_at(s, 19, 'Z') && digits_at(s, 0, 4, &c.year) && digits_at(s, 5, 2, &c.month) &&
        digits_at(s, 8, 2, &c.day) && digits_at(s, 11, 2, &c.hour) && digits_at(s, 14, 2, &c.minute) &&
        digits_at(s, 17, 2, &c.second) && char_at(s, 4, '-') && char_at(s, 7, '-') && char_at(s, 10, 'T') &&
        char_at(s, 13, ':') && char_at(s, 16, ':') && c.month >= 1 && c.month <= 12 && c.day >= 1 &&
        c.day <= days_in_month(c.year, c.month) && c.hour <= 23 && c.minute <= 59 && c.second <= 59) {
        *ret_ms = civil_to_unix(&c) * 1000;
        return OK;
    }
    return E_PARSE;
}
