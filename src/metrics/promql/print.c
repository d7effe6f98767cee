/* A tree back to text: on one line, and pretty (lines of at most 100 bytes where a split can help). */
#include <math.h>

#include "metrics/promql/parse.h"

#define LINE_MAX_BYTES 100

static void print_labels(Buf *out, const Str *labels, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        if (i > 0)
            buf_c(out, ", ");
        if (label_name_is_classic(labels[i]))
            buf_str(out, labels[i]);
        else
            go_quote(out, labels[i]);
    }
}

/* Seconds as a duration, whole milliseconds. */
static void print_seconds(Buf *out, f64 s)
{
    f64 ns = s * 1e9;
    i64 ms = ns >= 9223372036854775808.0 ? INT64_MAX / 1000000 : (i64)(ns / 1e6);
    print_duration_ms(out, ms);
}

static void print_number(Buf *out, f64 v, bool is_duration)
{
    if (!is_duration) {
        print_f64(out, v);
        return;
    }
    if (v < 0)
        buf_char(out, '-');
    print_seconds(out, v < 0 ? -v : v);
}

static void print_duration(Buf *out, const Node *n)
{
    if (buf_over(out))
        return;
    if (n->u.dur.wrapped)
        buf_char(out, '(');
    if (n->u.dur.fn) {
        buf_printf(out, "%s(", n->u.dur.fn);
        if (n->u.dur.lhs) {
            print_duration(out, n->u.dur.lhs);
            buf_c(out, ", ");
            print_duration(out, n->u.dur.rhs);
        }
        buf_char(out, ')');
    } else if (n->u.dur.op == OP_NONE) {
        print_number(out, n->u.dur.value_s, n->number_is_duration);
    } else if (n->u.dur.lhs) {
        print_duration(out, n->u.dur.lhs);
        buf_printf(out, " %s ", op_text(n->u.dur.op));
        print_duration(out, n->u.dur.rhs);
    } else {
        if (n->u.dur.op == OP_SUB)
            buf_char(out, '-');
        print_duration(out, n->u.dur.rhs);
    }
    if (n->u.dur.wrapped)
        buf_char(out, ')');
}

static void print_offset(Buf *out, i64 ms, const Node *expr)
{
    if (expr) {
        buf_c(out, " offset ");
        print_duration(out, expr);
    } else if (ms != 0) {
        buf_c(out, ms > 0 ? " offset " : " offset -");
        print_duration_ms(out, ms > 0 ? ms : -ms);
    }
}

static void print_at(Buf *out, AtKind at, i64 ms)
{
    switch (at) {
    case AT_NONE:
        break;
    case AT_TIME:
        buf_c(out, " @ ");
        print_f64_go(out, (f64)ms / 1000.0, 'f', 3);
        break;
    case AT_START:
        buf_c(out, " @ start()");
        break;
    case AT_END:
        buf_c(out, " @ end()");
        break;
    }
}

/* {a="b",c!="d"}: sorted as text; without the name that stands before the braces. */
static void print_matchers(Buf *out, const Node *n)
{
    VEC(Str) texts = {0};
    VEC(size_t) ends = {0};
    Buf b;
    buf_init(&b, 64u << 20);
    for (u32 i = 0; i < n->u.sel.matchers.len; i++) {
        const Matcher *m = &n->u.sel.matchers.at[i];
        if (m->op == MATCH_EQ && str_eq(m->name, LABEL_NAME) && m->value.len > 0 &&
            str_eq(m->value, n->u.sel.name))
            continue;
        matcher_print(&b, m);
        vec_push(&ends, b.len);
    }
    for (size_t i = 0; i < ends.len; i++)
        vec_push(&texts, str_sub(buf_view(&b), i > 0 ? ends.at[i - 1] : 0, ends.at[i]));
    if (texts.len > 0) {
        qsort(texts.at, texts.len, sizeof(Str), str_order);
        for (size_t i = 0; i < texts.len; i++) {
            buf_char(out, i > 0 ? ',' : '{');
            buf_str(out, texts.at[i]);
        }
        buf_char(out, '}');
    } else if (n->u.sel.name.len == 0) {
        buf_c(out, "{}"); /* info()'s second argument */
    }
    vec_done(&texts);
    vec_done(&ends);
    buf_done(&b);
}

static void print_extended(Buf *out, const Node *sel)
{
    if (sel->u.sel.anchored || sel->u.sel.smoothed)
        buf_c(out, sel->u.sel.anchored ? " anchored" : " smoothed");
}

static void print_selector(Buf *out, const Node *n)
{
    buf_str(out, n->u.sel.name);
    print_matchers(out, n);
    print_at(out, n->u.sel.at, n->u.sel.at_ms);
    print_extended(out, n);
    print_offset(out, n->u.sel.offset_ms, n->u.sel.offset_expr);
}

static void print_range(Buf *out, i64 ms, const Node *expr)
{
    if (expr)
        print_duration(out, expr);
    else
        print_duration_ms(out, ms);
}

static void print_matrix(Buf *out, const Node *n)
{
    const Node *sel = n->u.matrix.sel;
    buf_str(out, sel->u.sel.name);
    print_matchers(out, sel);
    buf_char(out, '[');
    print_range(out, n->u.matrix.range_ms, n->u.matrix.range_expr);
    buf_char(out, ']');
    print_extended(out, sel);
    print_at(out, sel->u.sel.at, sel->u.sel.at_ms);
    print_offset(out, sel->u.sel.offset_ms, sel->u.sel.offset_expr);
}

static void print_subquery_suffix(Buf *out, const Node *n)
{
    buf_char(out, '[');
    print_range(out, n->u.sub.range_ms, n->u.sub.range_expr);
    buf_char(out, ':');
    if (n->u.sub.step_ms != 0 || n->u.sub.step_expr)
        print_range(out, n->u.sub.step_ms, n->u.sub.step_expr);
    buf_char(out, ']');
    print_at(out, n->u.sub.at, n->u.sub.at_ms);
    print_offset(out, n->u.sub.offset_ms, n->u.sub.offset_expr);
}

static void print_aggr_head(Buf *out, const Node *n)
{
    buf_c(out, aggr_text(n->u.aggr.op));
    if (n->u.aggr.without || n->u.aggr.grouping_len > 0) {
        buf_c(out, n->u.aggr.without ? " without (" : " by (");
        print_labels(out, n->u.aggr.grouping, n->u.aggr.grouping_len);
        buf_c(out, ") ");
    }
}

static void print_fill(Buf *out, const char *word, f64 v)
{
    buf_printf(out, " %s (", word);
    print_f64_g(out, v);
    buf_char(out, ')');
}

/* " bool on (a) group_left (b)": what follows the operator. */
static void print_matching(Buf *out, const Node *n)
{
    const VectorMatching *m = n->u.bin.matching;
    bool is_grouped = m && (m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY);
    if (n->u.bin.return_bool)
        buf_c(out, " bool");
    if (!m)
        return;
    if (m->labels_len > 0 || m->on || is_grouped) {
        buf_c(out, m->on ? " on (" : " ignoring (");
        print_labels(out, m->labels_written, m->labels_len);
        buf_char(out, ')');
    }
    if (is_grouped) {
        buf_c(out, m->card == CARD_MANY_TO_ONE ? " group_left (" : " group_right (");
        print_labels(out, m->include, m->include_len);
        buf_char(out, ')');
    }
    if (m->has_fill_left && m->has_fill_right && m->fill_left == m->fill_right) {
        print_fill(out, "fill", m->fill_left);
        return;
    }
    if (m->has_fill_left)
        print_fill(out, "fill_left", m->fill_left);
    if (m->has_fill_right)
        print_fill(out, "fill_right", m->fill_right);
}

/* "+Inf ^ 0" would be read as +(Inf ^ 0): the base of a power goes without its sign. */
static bool is_infinite_base(const Node *n)
{
    const Node *lhs = n->u.bin.lhs;
    return n->u.bin.op == OP_POW && lhs->kind == NODE_NUMBER && isinf(lhs->u.number);
}

void promql_print(const Node *n, Buf *out)
{
    if (buf_over(out))
        return;
    switch (n->kind) {
    case NODE_NUMBER:
        print_number(out, n->u.number, n->number_is_duration);
        break;
    case NODE_STRING:
        go_quote(out, n->u.string);
        break;
    case NODE_SELECTOR:
        print_selector(out, n);
        break;
    case NODE_MATRIX:
        print_matrix(out, n);
        break;
    case NODE_SUBQUERY:
        promql_print(n->u.sub.expr, out);
        print_subquery_suffix(out, n);
        break;
    case NODE_CALL:
        buf_printf(out, "%s(", n->u.call.fn->name);
        for (u32 i = 0; i < n->u.call.args_len; i++) {
            if (i > 0)
                buf_c(out, ", ");
            promql_print(n->u.call.args[i], out);
        }
        buf_char(out, ')');
        break;
    case NODE_AGGR:
        print_aggr_head(out, n);
        buf_char(out, '(');
        if (n->u.aggr.param) {
            promql_print(n->u.aggr.param, out);
            buf_c(out, ", ");
        }
        promql_print(n->u.aggr.expr, out);
        buf_char(out, ')');
        break;
    case NODE_BINARY:
        if (is_infinite_base(n))
            buf_c(out, "Inf");
        else
            promql_print(n->u.bin.lhs, out);
        buf_printf(out, " %s", op_text(n->u.bin.op));
        print_matching(out, n);
        buf_char(out, ' ');
        promql_print(n->u.bin.rhs, out);
        break;
    case NODE_UNARY:
        buf_c(out, op_text(n->u.unary.op));
        promql_print(n->u.unary.expr, out);
        break;
    case NODE_PAREN:
        buf_char(out, '(');
        promql_print(n->u.paren, out);
        buf_char(out, ')');
        break;
    case NODE_STEP_INVARIANT:
        promql_print(n->u.invariant, out);
        break;
    case NODE_DURATION:
        print_duration(out, n);
        break;
    }
}

/* ---- pretty ---- */

static void pretty(const Node *n, u32 level, Buf *out);

static void indent(Buf *out, u32 level)
{
    for (u32 i = 0; i < level; i++)
        buf_c(out, "  ");
}

static bool needs_split(const Node *n)
{
    Buf b;
    buf_init(&b, LINE_MAX_BYTES);
    promql_print(n, &b);
    bool over = buf_over(&b);
    buf_done(&b);
    return over;
}

static void pretty_list(Node *const *at, u32 len, u32 level, Buf *out)
{
    for (u32 i = 0; i < len; i++) {
        if (i > 0)
            buf_c(out, ",\n");
        pretty(at[i], level, out);
    }
}

/* The sign takes the indentation its operand would have had. */
static void pretty_unary(const Node *n, u32 level, Buf *out)
{
    Buf b;
    indent(out, level);
    buf_c(out, op_text(n->u.unary.op));
    buf_init(&b, out->max);
    pretty(n->u.unary.expr, level, &b);
    buf_str(out, str_trim(buf_view(&b)));
    buf_done(&b);
}

static void close_line(Buf *out, u32 level)
{
    buf_char(out, '\n');
    indent(out, level);
    buf_char(out, ')');
}

static void pretty_split(const Node *n, u32 level, Buf *out)
{
    switch (n->kind) {
    case NODE_AGGR:
        indent(out, level);
        print_aggr_head(out, n);
        buf_c(out, "(\n");
        if (n->u.aggr.param)
            pretty_list(&n->u.aggr.param, 1, level + 1, out), buf_c(out, ",\n");
        pretty(n->u.aggr.expr, level + 1, out);
        close_line(out, level);
        break;
    case NODE_BINARY:
        if (is_infinite_base(n))
            indent(out, level + 1), buf_c(out, "Inf");
        else
            pretty(n->u.bin.lhs, level + 1, out);
        buf_char(out, '\n');
        indent(out, level);
        buf_c(out, op_text(n->u.bin.op));
        print_matching(out, n);
        buf_char(out, '\n');
        pretty(n->u.bin.rhs, level + 1, out);
        break;
    case NODE_CALL:
        indent(out, level);
        buf_printf(out, "%s(\n", n->u.call.fn->name);
        pretty_list(n->u.call.args, n->u.call.args_len, level + 1, out);
        close_line(out, level);
        break;
    case NODE_PAREN:
        indent(out, level);
        buf_c(out, "(\n");
        pretty(n->u.paren, level + 1, out);
        close_line(out, level);
        break;
    case NODE_SUBQUERY:
        pretty(n->u.sub.expr, level, out);
        print_subquery_suffix(out, n);
        break;
    default:
        indent(out, level);
        promql_print(n, out);
        break;
    }
}

static void pretty(const Node *n, u32 level, Buf *out)
{
    if (buf_over(out))
        return;
    if (n->kind == NODE_UNARY) {
        pretty_unary(n, level, out);
    } else if (n->kind == NODE_STEP_INVARIANT) {
        pretty(n->u.invariant, level, out);
    } else if (needs_split(n)) {
        pretty_split(n, level, out);
    } else {
        if (n->kind != NODE_SUBQUERY) /* as the reference prints it: a short subquery stands at the margin */
            indent(out, level);
        promql_print(n, out);
    }
}

void promql_pretty(const Node *n, Buf *out)
{
    pretty(n, 0, out);
}
