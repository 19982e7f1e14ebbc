#pragma once
#include <curl/curl.h>
#include <string.h>

// curl_easy_setopt and curl_easy_getinfo are variadic, which Swift does not import.
static inline CURLcode roost_curl_set_string(CURL *h, CURLoption o, const char *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_curl_set_long(CURL *h, CURLoption o, long v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_curl_set_pointer(CURL *h, CURLoption o, void *v) { return curl_easy_setopt(h, o, v); }
static inline CURLcode roost_curl_set_headers(CURL *h, struct curl_slist *v) {
  return curl_easy_setopt(h, CURLOPT_HTTPHEADER, v);
}
typedef size_t (*roost_curl_writer)(char *, size_t, size_t, void *);
static inline CURLcode roost_curl_set_writer(CURL *h, roost_curl_writer f, void *context) {
  CURLcode code = curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, f);
  return code != CURLE_OK ? code : curl_easy_setopt(h, CURLOPT_WRITEDATA, context);
}
static inline long roost_curl_status(CURL *h) {
  long status = 0;
  curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
  return status;
}
// libcurl copies the body; CURLOPT_POSTFIELDSIZE must be set before.
static inline CURLcode roost_curl_set_body(CURL *h, const void *body) {
  return curl_easy_setopt(h, CURLOPT_COPYPOSTFIELDS, body);
}
// Where a redirect leads that was not followed, or NULL; valid until the next request.
static inline const char *roost_curl_redirect(CURL *h) {
  char *url = NULL;
  curl_easy_getinfo(h, CURLINFO_REDIRECT_URL, &url);
  return url;
}

// The field of that name of the server's own certificate, such as "Expire date", or NULL; needs CURLOPT_CERTINFO, valid
// until the next request.
static inline const char *roost_curl_certificate(CURL *h, const char *name) {
  struct curl_certinfo *chain = NULL;
  if (curl_easy_getinfo(h, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain || chain->num_of_certs < 1) return NULL;
  size_t length = strlen(name);
  for (struct curl_slist *field = chain->certinfo[0]; field; field = field->next)
    if (!strncmp(field->data, name, length) && field->data[length] == ':') return field->data + length + 1;
  return NULL;
}

// curl_multi_setopt is variadic, too.
typedef int (*roost_curl_socket_watcher)(CURL *, curl_socket_t, int, void *, void *);
typedef int (*roost_curl_timer_setter)(CURLM *, long, void *);
static inline void roost_curl_multi_set_callbacks(
    CURLM *m, roost_curl_socket_watcher watch, roost_curl_timer_setter set_timer, void *context) {
  curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, watch);
  curl_multi_setopt(m, CURLMOPT_SOCKETDATA, context);
  curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(m, CURLMOPT_TIMERDATA, context);
}
static inline CURLMcode roost_curl_multi_set_long(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
static inline CURLcode roost_curl_message_result(const CURLMsg *m) { return m->data.result; }
