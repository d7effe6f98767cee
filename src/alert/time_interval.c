/* Time intervals: when a route is muted, or active. Every field that is given must contain the moment; calendar fields
 * are those of the interval's own zone, so a day has 23 to 25 hours where clocks change. */
#include "alert/alert_internal.h"

#include <stdio.h>

static const char *const weekdays[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};

static int days_in_month(int year, int month)
{
    static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool in_ranges(const TimeRanges *r, int v, int dim, bool exclusive)
{
    if (!r->is_set)
        return true;
    for (u32 i = 0; i < r->len; i++) {
        int from = r->at[i].from, to = r->at[i].to;
        if (dim) { /* days of the month: negative ones count from its end */
            from = from < 0 ? dim + from + 1 : from;
            to = to < 0 ? dim + to + 1 : to;
        }
        if (v >= from && (exclusive ? v < to : v <= to))
            return true;
    }
    return false;
}

bool time_interval_contains(const TimeInterval *t, i64 unix_s)
{
    Civil c;
    civil_in_zone(t->zone, unix_s, &c);
    return in_ranges(&t->times, c.hour * 60 + c.minute, 0, true) &&
           in_ranges(&t->days, c.day, days_in_month(c.year, c.month), false) &&
           in_ranges(&t->months, c.month, 0, false) && in_ranges(&t->weekdays, c.weekday, 0, false) &&
           in_ranges(&t->years, c.year, 0, false);
}

bool time_intervals_contain(const TimeIntervals *set, i64 unix_s)
{
    for (u32 i = 0; i < set->len; i++)
        if (time_interval_contains(&set->at[i], unix_s))
            return true;
    return false;
}

/* ---- reading ---- */
typedef enum RangeKind { RANGE_WEEKDAY, RANGE_DAY, RANGE_MONTH, RANGE_YEAR } RangeKind;

static bool read_int(Str s, int *ret)
{
    i64 v;
    if (s.len && s.at[0] == '+')
        s = str_skip(s, 1);
    if (parse_i64(s, &v) != OK || v < INT32_MIN || v > INT32_MAX)
        return false;
    *ret = (int)v;
    return true;
}

static bool read_member(RangeKind kind, Str s, int *ret)
{
    const char *const *names = kind == RANGE_WEEKDAY ? weekdays : months;
    u32 n = kind == RANGE_WEEKDAY ? COUNT_OF(weekdays) : kind == RANGE_MONTH ? COUNT_OF(months) : 0;
    for (u32 i = 0; i < n; i++)
        if (str_eq_nocase(s, str_c(names[i]))) {
            *ret = (int)i + (kind == RANGE_MONTH);
            return true;
        }
    return kind != RANGE_WEEKDAY && read_int(s, ret);
}

static void check_days(Conf *c, const ConfNode *n, TimeRange r)
{
    int from = r.from < 0 ? 28 + r.from : r.from, to = r.to < 0 ? 28 + r.to : r.to;
    if (r.from == 0 || r.from < -31 || r.from > 31 || r.to == 0 || r.to < -31 || r.to > 31)
        conf_error(c, n, "%d is not a valid day of the month: 1 to 31, or -31 to -1 from its end",
                   r.from == 0 || r.from < -31 || r.from > 31 ? r.from : r.to);
    else if (r.from < 0 && r.to > 0)
        conf_error(c, n, "end day must be negative if start day is negative");
    else if (from > to)
        conf_error(c, n, "end day %d is always before start day %d", r.to, r.from);
}

static TimeRange read_range(Conf *c, const ConfNode *n, RangeKind kind)
{
    static const char *const what[] = {"weekday (sunday to saturday)", "day of the month",
                                       "month (january to december, or 1 to 12)", "year"};
    Str s = conf_scalar(c, n, false), from = s, to = s;
    TimeRange r = {0};
    if (str_cut(s, ':', &from, &to)) {
        if (str_find_char(to, ':') != SIZE_MAX) {
            conf_error(c, n, "couldn't parse range %.*s: want one value, or two with a colon", STR_FMT(s));
            return r;
        }
    } else {
        to = from;
    }
    if (!read_member(kind, from, &r.from) || !read_member(kind, to, &r.to)) {
        conf_error(c, n, "%.*s is not a valid %s", STR_FMT(s), what[kind]);
        return r;
    }
    if (kind == RANGE_DAY)
        check_days(c, n, r);
    else if (r.from > r.to)
        conf_error(c, n, "the end of %.*s is before its start: write two ranges", STR_FMT(s));
    return r;
}

static void read_ranges(ConfMap *m, const char *key, RangeKind kind, TimeRanges *ret)
{
    const ConfNode *items;
    ret->is_set = conf_has(m, key);
    u32 n = conf_list(m, key, &items);
    TimeRange *at = arena_array(conf_arena(m->conf), TimeRange, n + 1);
    for (u32 i = 0; at && i < n; i++)
        at[ret->len++] = read_range(m->conf, &items[i], kind);
    ret->at = at;
}

static int read_clock(Conf *c, const ConfNode *n, Str s)
{
    bool digits = s.len == 5 && s.at[2] == ':';
    for (size_t i = 0; digits && i < 5; i++)
        digits = i == 2 || (s.at[i] >= '0' && s.at[i] <= '9');
    int h = digits ? (s.at[0] - '0') * 10 + s.at[1] - '0' : 99,
        m = digits ? (s.at[3] - '0') * 10 + s.at[4] - '0' : 99;
    if ((h > 23 || m > 59) && !(h == 24 && m == 0)) {
        conf_error(c, n, "couldn't parse timestamp %.*s: want HH:MM, 00:00 to 24:00", STR_FMT(s));
        return -1;
    }
    return h * 60 + m;
}

static void read_times(ConfMap *m, TimeRanges *ret)
{
    const ConfNode *items;
    ret->is_set = conf_has(m, "times");
    u32 n = conf_list(m, "times", &items);
    TimeRange *at = arena_array(conf_arena(m->conf), TimeRange, n + 1);
    for (u32 i = 0; at && i < n; i++) {
        ConfMap sub;
        if (!conf_map_begin(m->conf, &items[i], &sub))
            continue;
        Str from = conf_str(&sub, "start_time", S("")), to = conf_str(&sub, "end_time", S(""));
        conf_map_end(&sub);
        if (!from.len || !to.len) {
            conf_error(m->conf, &items[i], "both start_time and end_time must be provided");
            continue;
        }
        TimeRange r = {read_clock(m->conf, &items[i], from), read_clock(m->conf, &items[i], to)};
        if (r.from >= 0 && r.to >= 0 && r.from >= r.to)
            conf_error(m->conf, &items[i],
                       "start time cannot be equal or greater than end time: write two ranges, to 24:00 and "
                       "from 00:00");
        at[ret->len++] = r;
    }
    ret->at = at;
}

static void read_interval(Conf *c, const ConfNode *n, TimeInterval *ret)
{
    ConfMap m;
    if (zone_load(S("UTC"), &ret->zone, NULL) != OK || !conf_map_begin(c, n, &m))
        return;
    read_times(&m, &ret->times);
    read_ranges(&m, "weekdays", RANGE_WEEKDAY, &ret->weekdays);
    read_ranges(&m, "days_of_month", RANGE_DAY, &ret->days);
    read_ranges(&m, "months", RANGE_MONTH, &ret->months);
    read_ranges(&m, "years", RANGE_YEAR, &ret->years);
    Str zone = conf_str(&m, "location", S(""));
    Why why = {0};
    if (zone.len && zone_load(zone, &ret->zone, &why) != OK)
        conf_error(c, conf_get(&m, "location"), "%s", why.text);
    conf_map_end(&m);
}

void time_intervals_read(Conf *c, const ConfNode *n, const char *what, TimeIntervals *ret)
{
    ConfMap m;
    const ConfNode *items;
    if (!conf_map_begin(c, n, &m))
        return;
    ret->name = conf_str(&m, "name", S(""));
    if (!ret->name.len)
        conf_error(c, n, "missing name in %s", what);
    u32 len = conf_list(&m, "time_intervals", &items);
    TimeInterval *at = arena_array(conf_arena(c), TimeInterval, len + 1);
    if (at) {
        memset(at, 0, (len + 1) * sizeof *at);
        for (u32 i = 0; i < len; i++)
            read_interval(c, &items[i], &at[i]);
        ret->at = at;
        ret->len = len;
    }
    conf_map_end(&m);
}
