/* Metric types and the staleness marker: model.h. */
#include "model/model.h"

static const char *const names[] = {"unknown",        "counter", "gauge", "histogram",
                                    "gaugehistogram", "summary", "info",  "stateset"};

const char *metric_type_name(MetricType t)
{
    check((unsigned)t < COUNT_OF(names));
    return names[t];
}

MetricType metric_type_parse(Str s)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(s, str_c(names[i])))
            return (MetricType)i;
    return TYPE_UNKNOWN;
}

f64 stale_nan(void)
{
    return f64_from_bits(STALE_NAN_BITS);
}
