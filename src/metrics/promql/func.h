/* The functions of PromQL: one line each, sorted by name. FN_<name> is FuncDef.id and the index in prom_funcs().
 *
 * X(name, returns, variadic, experimental, arguments ...): variadic 0 = exactly these arguments, n > 0 = the last may be
 * left out and up to n of its type may stand in its place, -1 = any number of the last (also none). As Prometheus.
 */
#pragma once
#include "metrics/promql/promql.h"

#define PROM_FUNCS(X)                                                                                        \
    X(abs, V, 0, 0, V)                                                                                       \
    X(absent, V, 0, 0, V)                                                                                    \
    X(absent_over_time, V, 0, 0, M)                                                                          \
    X(acos, V, 0, 0, V)                                                                                      \
    X(acosh, V, 0, 0, V)                                                                                     \
    X(asin, V, 0, 0, V)                                                                                      \
    X(asinh, V, 0, 0, V)                                                                                     \
    X(atan, V, 0, 0, V)                                                                                      \
    X(atanh, V, 0, 0, V)                                                                                     \
    X(avg_over_time, V, 0, 0, M)                                                                             \
    X(ceil, V, 0, 0, V)                                                                                      \
    X(changes, V, 0, 0, M)                                                                                   \
    X(clamp, V, 0, 0, V, C, C)                                                                               \
    X(clamp_max, V, 0, 0, V, C)                                                                              \
    X(clamp_min, V, 0, 0, V, C)                                                                              \
    X(cos, V, 0, 0, V)                                                                                       \
    X(cosh, V, 0, 0, V)                                                                                      \
    X(count_over_time, V, 0, 0, M)                                                                           \
    X(day_of_month, V, 1, 0, V)                                                                              \
    X(day_of_week, V, 1, 0, V)                                                                               \
    X(day_of_year, V, 1, 0, V)                                                                               \
    X(days_in_month, V, 1, 0, V)                                                                             \
    X(deg, V, 0, 0, V)                                                                                       \
    X(delta, V, 0, 0, M)                                                                                     \
    X(deriv, V, 0, 0, M)                                                                                     \
    X(double_exponential_smoothing, V, 0, 1, M, C, C)                                                        \
    X(end, C, 0, 1)                                                                                          \
    X(exp, V, 0, 0, V)                                                                                       \
    X(first_over_time, V, 0, 0, M)                                                                           \
    X(floor, V, 0, 0, V)                                                                                     \
    X(histogram_avg, V, 0, 0, V)                                                                             \
    X(histogram_count, V, 0, 0, V)                                                                           \
    X(histogram_fraction, V, 0, 0, C, C, V)                                                                  \
    X(histogram_quantile, V, 0, 0, C, V)                                                                     \
    X(histogram_quantiles, V, 9, 1, V, T, C, C)                                                              \
    X(histogram_stddev, V, 0, 0, V)                                                                          \
    X(histogram_stdvar, V, 0, 0, V)                                                                          \
    X(histogram_sum, V, 0, 0, V)                                                                             \
    X(hour, V, 1, 0, V)                                                                                      \
    X(idelta, V, 0, 0, M)                                                                                    \
    X(increase, V, 0, 0, M)                                                                                  \
    X(info, V, 1, 1, V, V)                                                                                   \
    X(irate, V, 0, 0, M)                                                                                     \
    X(label_join, V, -1, 0, V, T, T, T)                                                                      \
    X(label_replace, V, 0, 0, V, T, T, T, T)                                                                 \
    X(last_over_time, V, 0, 0, M)                                                                            \
    X(ln, V, 0, 0, V)                                                                                        \
    X(log10, V, 0, 0, V)                                                                                     \
    X(log2, V, 0, 0, V)                                                                                      \
    X(mad_over_time, V, 0, 1, M)                                                                             \
    X(max_of, C, 0, 1, C, C)                                                                                 \
    X(max_over_time, V, 0, 0, M)                                                                             \
    X(min_of, C, 0, 1, C, C)                                                                                 \
    X(min_over_time, V, 0, 0, M)                                                                             \
    X(minute, V, 1, 0, V)                                                                                    \
    X(month, V, 1, 0, V)                                                                                     \
    X(pi, C, 0, 0)                                                                                           \
    X(predict_linear, V, 0, 0, M, C)                                                                         \
    X(present_over_time, V, 0, 0, M)                                                                         \
    X(quantile_over_time, V, 0, 0, C, M)                                                                     \
    X(rad, V, 0, 0, V)                                                                                       \
    X(range, C, 0, 1)                                                                                        \
    X(rate, V, 0, 0, M)                                                                                      \
    X(resets, V, 0, 0, M)                                                                                    \
    X(round, V, 1, 0, V, C)                                                                                  \
    X(scalar, C, 0, 0, V)                                                                                    \
    X(sgn, V, 0, 0, V)                                                                                       \
    X(sin, V, 0, 0, V)                                                                                       \
    X(sinh, V, 0, 0, V)                                                                                      \
    X(sort, V, 0, 0, V)                                                                                      \
    X(sort_by_label, V, -1, 1, V, T)                                                                         \
    X(sort_by_label_desc, V, -1, 1, V, T)                                                                    \
    X(sort_desc, V, 0, 0, V)                                                                                 \
    X(sqrt, V, 0, 0, V)                                                                                      \
    X(start, C, 0, 1)                                                                                        \
    X(start_timestamp, V, 0, 1, V)                                                                           \
    X(stddev_over_time, V, 0, 0, M)                                                                          \
    X(stdvar_over_time, V, 0, 0, M)                                                                          \
    X(step, C, 0, 1)                                                                                         \
    X(sum_over_time, V, 0, 0, M)                                                                             \
    X(tan, V, 0, 0, V)                                                                                       \
    X(tanh, V, 0, 0, V)                                                                                      \
    X(time, C, 0, 0)                                                                                         \
    X(timestamp, V, 0, 0, V)                                                                                 \
    X(ts_of_first_over_time, V, 0, 1, M)                                                                     \
    X(ts_of_last_over_time, V, 0, 1, M)                                                                      \
    X(ts_of_max_over_time, V, 0, 1, M)                                                                       \
    X(ts_of_min_over_time, V, 0, 1, M)                                                                       \
    X(vector, V, 0, 0, C)                                                                                    \
    X(year, V, 1, 0, V)

#define PROM_FN_ENUM(name, ...) FN_##name,
typedef enum FuncId { PROM_FUNCS(PROM_FN_ENUM) FN_COUNT } FuncId;
#undef PROM_FN_ENUM
