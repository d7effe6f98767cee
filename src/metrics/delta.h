/* A value in the log: alone, or as the difference to the one before it. Lossless bit for bit; docs/formats/metrics-log.md. */
#pragma once
#include "metrics/bytes.h"
#include "model/model.h"

/* A whole number costs a varint, any other value a byte and its bits. */
void value_write(Buf *out, f64 v);
f64 value_read(Reader *r);

/* Differences of whole numbers, of hundredths and of thousandths cost a varint. */
void value_delta_write(Buf *out, f64 was, f64 v);
f64 value_delta_read(Reader *r, f64 was);
