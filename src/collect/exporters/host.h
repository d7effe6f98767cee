/* Shared between the files of the host exporter. */
#pragma once
#include "collect/exporters/exporters.h"
#include "text/text.h"

typedef struct HostLabel {
    const char *name;
    Str value;
} HostLabel;

Err host_read(const HostExporter *h, const char *root, const char *name,
              Buf *text);            /* root/name; done by the caller when OK */
bool host_line(Str *text, Str *ret); /* takes the next line off text */
Str host_word(Str *line);            /* takes the next blank-separated word off line */
f64 host_number(Str word);           /* 0 when it is none */
void host_family(Buf *out, const char *name, const char *type, const char *help);
void host_sample(Buf *out, const char *name, const HostLabel *labels, size_t n, f64 v);

Err host_diskstats(const HostExporter *h, Buf *out);
Err host_filesystem(const HostExporter *h, Buf *out);
Err host_netdev(const HostExporter *h, Buf *out);
