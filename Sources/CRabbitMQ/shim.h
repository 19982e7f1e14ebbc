#pragma once
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

// amqp_login is variadic, and the values of a field are in a union: Swift imports neither well.
static inline amqp_rpc_reply_t roost_amqp_login(
    amqp_connection_state_t connection, const char *host, int heartbeat, const char *user, const char *password) {
  return amqp_login(connection, host, 0, 131072, heartbeat, AMQP_SASL_METHOD_PLAIN, user, password);
}

static inline amqp_bytes_t roost_amqp_bytes(const void *bytes, size_t count) {
  amqp_bytes_t result;
  result.len = count;
  result.bytes = (void *)bytes;
  return result;
}

static inline amqp_table_entry_t roost_amqp_text_entry(amqp_bytes_t name, amqp_bytes_t text) {
  amqp_table_entry_t entry;
  entry.key = name;
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = text;
  return entry;
}

// The text of a field, or nothing when it is no text; numbers are written into `digits`, which has room for 32 bytes.
static inline amqp_bytes_t roost_amqp_field_text(amqp_field_value_t field, char *digits) {
  long long number;
  switch (field.kind) {
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES: return field.value.bytes;
    case AMQP_FIELD_KIND_I8: number = field.value.i8; break;
    case AMQP_FIELD_KIND_U8: number = field.value.u8; break;
    case AMQP_FIELD_KIND_I16: number = field.value.i16; break;
    case AMQP_FIELD_KIND_U16: number = field.value.u16; break;
    case AMQP_FIELD_KIND_I32: number = field.value.i32; break;
    case AMQP_FIELD_KIND_U32: number = field.value.u32; break;
    case AMQP_FIELD_KIND_I64: number = field.value.i64; break;
    default: return amqp_empty_bytes;
  }
  int i = 31, negative = number < 0;
  unsigned long long rest = negative ? 0ULL - (unsigned long long)number : (unsigned long long)number;
  do {
    digits[i--] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  if (negative) digits[i--] = '-';
  return roost_amqp_bytes(digits + i + 1, (size_t)(31 - i));
}

// What a frame of a method says, by the number of the method; NULL when it has none.
static inline uint64_t roost_amqp_acked_tag(const amqp_frame_t *frame, int *multiple) {
  amqp_basic_ack_t *ack = (amqp_basic_ack_t *)frame->payload.method.decoded;
  *multiple = ack->multiple;
  return ack->delivery_tag;
}
static inline uint64_t roost_amqp_nacked_tag(const amqp_frame_t *frame, int *multiple) {
  amqp_basic_nack_t *nack = (amqp_basic_nack_t *)frame->payload.method.decoded;
  *multiple = nack->multiple;
  return nack->delivery_tag;
}
static inline uint32_t roost_amqp_method(const amqp_frame_t *frame) {
  return frame->frame_type == AMQP_FRAME_METHOD ? frame->payload.method.id : 0;
}
// The broker's reason for closing a channel or a connection.
static inline amqp_bytes_t roost_amqp_close_reason(amqp_method_t method, int *code) {
  if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
    amqp_connection_close_t *close = (amqp_connection_close_t *)method.decoded;
    *code = close->reply_code;
    return close->reply_text;
  }
  if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_t *close = (amqp_channel_close_t *)method.decoded;
    *code = close->reply_code;
    return close->reply_text;
  }
  *code = 0;
  return amqp_empty_bytes;
}
