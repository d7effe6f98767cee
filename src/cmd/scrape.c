/* pharos scrape: what a page parses to. */
#include <stdio.h>

#include "cmd/client.h"
#include "cmd/cmd.h"
#include "wire/wire.h"

static void print_item(ExpoItem *item, Buf *line)
{
    buf_clear(line);
    buf_printf(line, "%5u:%-3u ", item->line, item->col);
    switch (item->kind) {
    case EXPO_SERIES:
    case EXPO_HISTOGRAM:
        buf_printf(line, "%-10s ", item->kind == EXPO_SERIES ? metric_type_name(item->type) : "native");
        labels_print(line, item->labels);
        buf_char(line, ' ');
        if (item->kind == EXPO_SERIES)
            print_f64(line, item->value);
        else
            buf_printf(line, "{schema:%d count:%g sum:%g}", item->hist->schema, item->hist->count,
                       item->hist->sum);
        if (item->t != INT64_MIN)
            buf_printf(line, " @%lld", (long long)item->t);
        for (u32 i = 0; i < item->exemplars_len; i++) {
            buf_c(line, " # ");
            labels_print(line, item->exemplars[i].labels);
            buf_char(line, ' ');
            print_f64(line, item->exemplars[i].v);
        }
        break;
    case EXPO_TYPE:
        buf_printf(line, "# TYPE %.*s %s", STR_FMT(item->name), metric_type_name(item->type));
        break;
    case EXPO_HELP:
        buf_printf(line, "# HELP %.*s %.*s", STR_FMT(item->name), STR_FMT(item->text));
        break;
    case EXPO_UNIT:
        buf_printf(line, "# UNIT %.*s %.*s", STR_FMT(item->name), STR_FMT(item->text));
        break;
    case EXPO_COMMENT:
        buf_c(line, "#");
        break;
    }
    buf_char(line, '\n');
    fwrite(line->at, 1, line->len, stdout);
}

static int print_page(Str page, ExpoFormat format, const char *name, Arena *arena)
{
    ExpoOptions o = {0};
    ExpoParser *parser = expo_new(page, format, &o, arena);
    ExpoItem item;
    Buf line;
    buf_init(&line, 1 << 20);
    u64 series = 0, families = 0;
    Why why = {0};
    Err e;
    while ((e = expo_next(parser, &item, &why)) == OK) {
        if (item.kind == EXPO_SERIES || item.kind == EXPO_HISTOGRAM) {
            if ((e = expo_labels(parser, &item, &why)) != OK)
                break;
            series++;
        }
        families += item.kind == EXPO_TYPE;
        print_item(&item, &line);
    }
    buf_done(&line);
    if (e != E_NOT_FOUND) {
        snprintf(why.file, sizeof why.file, "%s", name);
        return complain("scrape", &why);
    }
    static const char *const names[] = {"unknown", "text 0.0.4", "OpenMetrics", "protobuf"};
    fprintf(stderr, "%llu series in %llu families, %s\n", (unsigned long long)series,
            (unsigned long long)families, names[format]);
    return 0;
}

static int run(int argc, char **argv)
{
    const char *format = "";
    Flag flags[] = {{"format", FLAG_STR, &format, "",
                     "text, openmetrics or protobuf; else by Content-Type (files: text)"}};
    int words;
    int stop = flags_parse(flags, COUNT_OF(flags), &cmd_scrape, argc, argv, &words);
    if (stop)
        return stop - 1;
    if (words != 1) {
        fprintf(stderr, "pharos scrape: want one URL or file\n");
        return 2;
    }
    ExpoFormat wanted = !strcmp(format, "text")          ? EXPO_TEXT
                        : !strcmp(format, "openmetrics") ? EXPO_OPENMETRICS
                        : !strcmp(format, "protobuf")    ? EXPO_PROTOBUF
                                                         : EXPO_UNKNOWN;
    if (format[0] && wanted == EXPO_UNKNOWN) {
        fprintf(stderr, "pharos scrape: --format is text, openmetrics or protobuf\n");
        return 2;
    }
    Arena arena;
    arena_init(&arena, NULL, 0);
    int rc;
    Why why = {0};
    if (!str_starts(str_c(argv[0]), S("http://")) && !str_starts(str_c(argv[0]), S("https://"))) {
        Buf page;
        buf_init(&page, 256 << 20);
        rc = vfs_read_file(vfs_os(), argv[0], 256 << 20, &page, &why) == OK
                 ? print_page(buf_view(&page), wanted ? wanted : EXPO_TEXT, argv[0], &arena)
                 : complain("scrape", &why);
        buf_done(&page);
    } else {
        CmdClient client;
        cmd_client_init(&client);
        HttpResult r;
        Err e = cmd_client_get(
            &client, str_c(argv[0]),
            S("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/"
              "*;q=0.2"),
            &arena, &r);
        if (e != OK)
            rc = complain("scrape", &r.why);
        else if (r.status != 200) {
            fprintf(stderr, "pharos scrape: %s answered %d\n", argv[0], r.status);
            rc = 1;
        } else
            rc = print_page(
                r.body, wanted ? wanted : expo_format(http_result_header(&r, S("Content-Type")), EXPO_TEXT),
                argv[0], &arena);
        cmd_client_done(&client);
    }
    arena_done(&arena);
    return rc;
}

const Command cmd_scrape = {
    .name = "scrape",
    .summary = "show what a metrics page parses to",
    .help = "pharos scrape URL|FILE\n\n"
            "Fetches a /metrics page as the scraper would and prints each line's position, type, series and "
            "value; where the\n"
            "page breaks the format, the line and column. Exit status 1 then.\n\n"
            "  pharos scrape http://127.0.0.1:9090/metrics\n",
    .run = run,
};
