/* The C++ side of text: RE2 and exact number conversion. See cxx.h. */
#include "text/cxx.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <system_error>

#include <re2/re2.h>

extern "C" size_t cxx_to_chars_shortest(double v, char *buf, size_t cap)
{
    auto r = std::to_chars(buf, buf + cap, v, std::chars_format::scientific);
    return r.ec == std::errc() ? static_cast<size_t>(r.ptr - buf) : 0;
}

extern "C" size_t cxx_to_chars_fixed(double v, char *buf, size_t cap)
{
    auto r = std::to_chars(buf, buf + cap, v, std::chars_format::fixed);
    return r.ec == std::errc() ? static_cast<size_t>(r.ptr - buf) : 0;
}

extern "C" size_t cxx_to_chars_prec(double v, char fmt, int prec, char *buf, size_t cap)
{
    std::chars_format f;
    switch (fmt) {
    case 'e':
        f = std::chars_format::scientific;
        break;
    case 'f':
        f = std::chars_format::fixed;
        break;
    case 'g':
        f = std::chars_format::general;
        break;
    default:
        return 0;
    }
    auto r = std::to_chars(buf, buf + cap, v, f, prec);
    return r.ec == std::errc() ? static_cast<size_t>(r.ptr - buf) : 0;
}

/* from_chars leaves the value alone when it is out of range; which way it was tells the decimal exponent of the
 * first significant digit. (For hex the exponent is binary; the sign of the total is all that matters.) */
static double out_of_range_value(const char *at, const char *end, bool hex)
{
    bool negative = at < end && *at == '-';
    long digits_before = 0, zeros_after = 0, exp = 0;
    bool seen_point = false, significant = false;
    const char *p = at + (negative ? 1 : 0);
    for (; p < end; p++) {
        char c = *p;
        if (c == '.') {
            seen_point = true;
        } else if ((c == 'e' || c == 'E') && !hex) {
            break;
        } else if (c == 'p' || c == 'P') {
            break;
        } else {
            if (c != '0')
                significant = true;
            if (significant && !seen_point)
                digits_before++;
            if (!significant && seen_point)
                zeros_after++;
        }
    }
    if (p < end) {
        bool exp_negative = false;
        p++;
        if (p < end && (*p == '-' || *p == '+'))
            exp_negative = *p++ == '-';
        for (; p < end; p++)
            if (exp < 1000000000)
                exp = exp * 10 + (*p - '0');
        if (exp_negative)
            exp = -exp;
    }
    long scale = hex ? 4 : 1;
    double v = exp + scale * (digits_before - zeros_after) > 0 ? HUGE_VAL : 0.0;
    return negative ? -v : v;
}

extern "C" size_t cxx_from_chars(const char *at, size_t len, bool hex, double *ret)
{
    /* libstdc++ also reads "inf" and "nan" here; those spellings belong to the caller. */
    size_t i = len > 0 && at[0] == '-' ? 1 : 0;
    if (i >= len)
        return 0;
    char c = at[i];
    bool digit =
        (c >= '0' && c <= '9') || c == '.' || (hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
    if (!digit)
        return 0;
    double v = 0;
    auto r = std::from_chars(at, at + len, v, hex ? std::chars_format::hex : std::chars_format::general);
    if (r.ec == std::errc::invalid_argument)
        return 0;
    if (r.ec == std::errc::result_out_of_range)
        v = out_of_range_value(at, r.ptr, hex);
    *ret = v;
    return static_cast<size_t>(r.ptr - at);
}

struct CxxRe2 {
    re2::RE2 re;
    CxxRe2(const re2::StringPiece &pattern, const re2::RE2::Options &o) : re(pattern, o) {}
};

/* Go's words for RE2's codes: people meet these sentences in Prometheus and search for them. */
static const char *go_words(re2::RE2::ErrorCode code)
{
    switch (code) {
    case re2::RE2::ErrorBadEscape:
        return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass:
        return "invalid character class";
    case re2::RE2::ErrorBadCharRange:
        return "invalid character class range";
    case re2::RE2::ErrorMissingBracket:
        return "missing closing ]";
    case re2::RE2::ErrorMissingParen:
        return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen:
        return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash:
        return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument:
        return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize:
        return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp:
        return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp:
        return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8:
        return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture:
        return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge:
        return "expression too large";
    default:
        return "internal error";
    }
}

extern "C" CxxRe2 *cxx_re2_new(const char *pattern, size_t len, size_t memory_max, char *err, size_t err_cap)
{
    re2::RE2::Options o;
    o.set_log_errors(false);
    o.set_max_mem(static_cast<int64_t>(memory_max));
    CxxRe2 *r = new (std::nothrow) CxxRe2(re2::StringPiece(pattern, len), o);
    if (!r) {
        snprintf(err, err_cap, "out of memory");
        return nullptr;
    }
    if (r->re.ok())
        return r;
    const std::string &arg = r->re.error_arg();
    snprintf(err, err_cap, "error parsing regexp: %s: `%.*s`", go_words(r->re.error_code()),
             static_cast<int>(arg.size() < 200 ? arg.size() : 200), arg.data());
    delete r;
    return nullptr;
}

extern "C" void cxx_re2_free(CxxRe2 *r)
{
    delete r;
}

extern "C" int cxx_re2_groups(const CxxRe2 *r)
{
    return r->re.NumberOfCapturingGroups();
}

extern "C" int cxx_re2_group_index(const CxxRe2 *r, const char *name, size_t len)
{
    const auto &names = r->re.NamedCapturingGroups();
    auto it = names.find(std::string(name, len));
    return it == names.end() ? -1 : it->second;
}

extern "C" bool cxx_re2_match(const CxxRe2 *r, const char *at, size_t len, size_t from, bool both_ends,
                              CxxSpan *ret, int n)
{
    enum { N_MAX = 65 };
    re2::StringPiece groups[N_MAX];
    if (n > N_MAX)
        n = N_MAX;
    auto anchor = both_ends ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED;
    if (!r->re.Match(re2::StringPiece(at, len), from, len, anchor, groups, n))
        return false;
    for (int i = 0; i < n; i++) {
        ret[i].at = groups[i].data();
        ret[i].len = groups[i].size();
    }
    return true;
}
