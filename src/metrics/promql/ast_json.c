/* The tree as parse_query gives it: objects with their keys in alphabetical order, as the reference's encoder sorts
 * them. Members of experimental syntax appear only where it was used. Written past the Json writer, whose depth is
 * bounded below that of trees. */
#include "metrics/promql/parse.h"

static void write_node(Buf *out, const Node *n);

static void key(Buf *out, const char *name)
{
    char last = out->len > 0 ? out->at[out->len - 1] : '{';
    if (last != '{')
        buf_char(out, ',');
    buf_printf(out, "\"%s\":", name);
}

static void key_str(Buf *out, const char *name, Str value)
{
    key(out, name);
    js_quote(out, value);
}

static void key_bool(Buf *out, const char *name, bool value)
{
    key(out, name);
    buf_c(out, value ? "true" : "false");
}

static void key_i64(Buf *out, const char *name, i64 value)
{
    key(out, name);
    print_i64(out, value);
}

static void key_node(Buf *out, const char *name, const Node *n)
{
    key(out, name);
    if (n)
        write_node(out, n);
    else
        buf_c(out, "null");
}

static void key_labels(Buf *out, const char *name, const Str *at, u32 len)
{
    key(out, name);
    buf_char(out, '[');
    for (u32 i = 0; i < len; i++) {
        if (i > 0)
            buf_char(out, ',');
        js_quote(out, at[i]);
    }
    buf_char(out, ']');
}

static void key_matchers(Buf *out, Matchers m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    key(out, "matchers");
    buf_char(out, '[');
    for (u32 i = 0; i < m.len; i++) {
        buf_c(out, i > 0 ? ",{" : "{");
        key_str(out, "name", m.at[i].name);
        key_str(out, "type", str_c(ops[m.at[i].op]));
        key_str(out, "value", m.at[i].value);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void key_at(Buf *out, AtKind at, i64 ms)
{
    key(out, "startOrEnd");
    buf_c(out, at == AT_START ? "\"start\"" : at == AT_END ? "\"end\"" : "null");
    key(out, "timestamp");
    if (at == AT_TIME)
        print_i64(out, ms);
    else
        buf_c(out, "null");
}

static void write_duration(Buf *out, const Node *n)
{
    if (n->u.dur.op == OP_NONE && !n->u.dur.fn) {
        Buf b;
        buf_init(&b, 400);
        print_f64(&b, n->u.dur.value_s);
        key_bool(out, "duration", n->number_is_duration);
        key_str(out, "type", S("numberLiteral"));
        key_str(out, "val", buf_view(&b));
        buf_done(&b);
        return;
    }
    key_node(out, "lhs", n->u.dur.lhs);
    key_str(out, "op", str_c(n->u.dur.fn ? n->u.dur.fn : op_text(n->u.dur.op)));
    key_node(out, "rhs", n->u.dur.rhs);
    key_str(out, "type", S("durationExpr"));
    key_bool(out, "wrapped", n->u.dur.wrapped);
}

static void write_aggr(Buf *out, const Node *n)
{
    key_node(out, "expr", n->u.aggr.expr);
    key_labels(out, "grouping", n->u.aggr.grouping, n->u.aggr.grouping_len);
    key_str(out, "op", str_c(aggr_text(n->u.aggr.op)));
    key_node(out, "param", n->u.aggr.param);
    key_str(out, "type", S("aggregation"));
    key_bool(out, "without", n->u.aggr.without);
}

static void key_fill(Buf *out, const char *name, bool is_set, f64 v)
{
    Json j;
    key(out, name);
    js_init(&j, out);
    if (is_set)
        js_f64(&j, v);
    else
        js_null(&j);
}

static void key_matching(Buf *out, const VectorMatching *m)
{
    static const char *const cards[] = {"one-to-one", "many-to-one", "one-to-many", "many-to-many"};
    key(out, "matching");
    if (!m) {
        buf_c(out, "null");
        return;
    }
    buf_char(out, '{');
    key_str(out, "card", str_c(cards[m->card]));
    if (m->has_fill_left || m->has_fill_right) {
        key(out, "fillValues");
        buf_char(out, '{');
        key_fill(out, "lhs", m->has_fill_left, m->fill_left);
        key_fill(out, "rhs", m->has_fill_right, m->fill_right);
        buf_char(out, '}');
    }
    key_labels(out, "include", m->include, m->include_len);
    key_labels(out, "labels", m->labels_written, m->labels_len);
    key_bool(out, "on", m->on);
    buf_char(out, '}');
}

static void write_binary(Buf *out, const Node *n)
{
    key_bool(out, "bool", n->u.bin.return_bool);
    key_node(out, "lhs", n->u.bin.lhs);
    key_matching(out, n->u.bin.matching);
    key_str(out, "op", str_c(op_text(n->u.bin.op)));
    key_node(out, "rhs", n->u.bin.rhs);
    key_str(out, "type", S("binaryExpr"));
}

static void write_call(Buf *out, const Node *n)
{
    const FuncDef *f = n->u.call.fn;
    key(out, "args");
    buf_char(out, '[');
    for (u32 i = 0; i < n->u.call.args_len; i++) {
        if (i > 0)
            buf_char(out, ',');
        write_node(out, n->u.call.args[i]);
    }
    buf_char(out, ']');
    key(out, "func");
    buf_c(out, "{\"argTypes\":[");
    for (u32 i = 0; i < f->args_len; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", type_word(f->args[i]));
    buf_char(out, ']');
    key_str(out, "name", str_c(f->name));
    key_str(out, "returnType", str_c(type_word(f->returns)));
    key_i64(out, "variadic", f->variadic);
    buf_char(out, '}');
    key_str(out, "type", S("call"));
}

/* A selector, alone (matrix NULL) or in a range. */
static void write_selector(Buf *out, const Node *n, const Node *matrix)
{
    if (n->u.sel.anchored)
        key_bool(out, "anchored", true);
    key_matchers(out, n->u.sel.matchers);
    key_str(out, "name", n->u.sel.name);
    key_i64(out, "offset", n->u.sel.offset_ms);
    if (n->u.sel.offset_expr)
        key_node(out, "offsetExpr", n->u.sel.offset_expr);
    if (matrix)
        key_i64(out, "range", matrix->u.matrix.range_ms);
    if (matrix && matrix->u.matrix.range_expr)
        key_node(out, "rangeExpr", matrix->u.matrix.range_expr);
    if (n->u.sel.smoothed)
        key_bool(out, "smoothed", true);
    key_at(out, n->u.sel.at, n->u.sel.at_ms);
    key_str(out, "type", matrix ? S("matrixSelector") : S("vectorSelector"));
}

static void write_subquery(Buf *out, const Node *n)
{
    key_node(out, "expr", n->u.sub.expr);
    key_i64(out, "offset", n->u.sub.offset_ms);
    if (n->u.sub.offset_expr)
        key_node(out, "offsetExpr", n->u.sub.offset_expr);
    key_i64(out, "range", n->u.sub.range_ms);
    if (n->u.sub.range_expr)
        key_node(out, "rangeExpr", n->u.sub.range_expr);
    key(out, "startOrEnd");
    buf_c(out, n->u.sub.at == AT_START ? "\"start\"" : n->u.sub.at == AT_END ? "\"end\"" : "null");
    key_i64(out, "step", n->u.sub.step_ms);
    if (n->u.sub.step_expr)
        key_node(out, "stepExpr", n->u.sub.step_expr);
    key(out, "timestamp");
    if (n->u.sub.at == AT_TIME)
        print_i64(out, n->u.sub.at_ms);
    else
        buf_c(out, "null");
    key_str(out, "type", S("subquery"));
}

static void write_number(Buf *out, const Node *n)
{
    Buf b;
    buf_init(&b, 400);
    print_f64(&b, n->u.number);
    key_str(out, "type", S("numberLiteral"));
    key_str(out, "val", buf_view(&b));
    buf_done(&b);
}

static void write_node(Buf *out, const Node *n)
{
    if (n->kind == NODE_STEP_INVARIANT) {
        write_node(out, n->u.invariant);
        return;
    }
    if (buf_over(out))
        return;
    buf_char(out, '{');
    switch (n->kind) {
    case NODE_NUMBER:
        write_number(out, n);
        break;
    case NODE_STRING:
        key_str(out, "type", S("stringLiteral"));
        key_str(out, "val", n->u.string);
        break;
    case NODE_SELECTOR:
        write_selector(out, n, NULL);
        break;
    case NODE_MATRIX:
        write_selector(out, n->u.matrix.sel, n);
        break;
    case NODE_SUBQUERY:
        write_subquery(out, n);
        break;
    case NODE_CALL:
        write_call(out, n);
        break;
    case NODE_AGGR:
        write_aggr(out, n);
        break;
    case NODE_BINARY:
        write_binary(out, n);
        break;
    case NODE_UNARY:
        key_node(out, "expr", n->u.unary.expr);
        key_str(out, "op", str_c(op_text(n->u.unary.op)));
        key_str(out, "type", S("unaryExpr"));
        break;
    case NODE_PAREN:
        key_node(out, "expr", n->u.paren);
        key_str(out, "type", S("parenExpr"));
        break;
    case NODE_DURATION:
        write_duration(out, n);
        break;
    case NODE_STEP_INVARIANT:
        break;
    }
    buf_char(out, '}');
}

void promql_ast_json(const Node *n, Json *j)
{
    js_raw(j, S("")); /* places the comma */
    write_node(j->out, n);
}
