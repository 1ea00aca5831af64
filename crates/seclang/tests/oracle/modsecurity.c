/* Hands requests to libmodsecurity as a web server would, so that tests can hold our audit log to its own.
 *
 *     modsecurity RULES (REQUEST RESPONSE)...
 *
 * Each argument is a file; requests and responses are messages of HTTP/1.1 whose bodies are all that comes after the empty
 * line, and a response named "-" is none: the answer is then the one that rules gave, with the head that a server would
 * give. Requests come from 192.0.2.7:40000 to 198.51.100.1:443 and are known by their number. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>
#include <modsecurity/intervention.h>

struct message {
    char *bytes;
    char *rest;
    size_t left;
};

static struct message read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    if (bytes == NULL || fread(bytes, 1, size, file) != size) {
        exit(2);
    }
    bytes[size] = 0;
    fclose(file);
    struct message message = {bytes, bytes, size};
    return message;
}

/* The next line without its end, cut off with a zero; NULL at the end of all. */
static char *next_line(struct message *message) {
    char *end = memchr(message->rest, '\n', message->left);
    if (end == NULL) {
        return NULL;
    }
    char *line = message->rest;
    message->left -= (size_t)(end + 1 - line);
    message->rest = end + 1;
    if (end > line && end[-1] == '\r') {
        end--;
    }
    *end = 0;
    return line;
}

typedef int add_header(Transaction *, const unsigned char *, size_t, const unsigned char *, size_t);

static void add_headers(Transaction *transaction, struct message *message, add_header *add) {
    char *line;
    while ((line = next_line(message)) != NULL && *line != 0) {
        char *colon = strchr(line, ':');
        if (colon == NULL) {
            exit(2);
        }
        char *value = colon + 1;
        while (*value == ' ') {
            value++;
        }
        add(transaction, (unsigned char *)line, (size_t)(colon - line), (unsigned char *)value, strlen(value));
    }
}

static int status_of(Transaction *transaction) {
    ModSecurityIntervention intervention;
    memset(&intervention, 0, sizeof intervention);
    intervention.status = 200;
    int status = msc_intervention(transaction, &intervention) ? intervention.status : 0;
    free(intervention.log);
    free(intervention.url);
    return status;
}

static void hear_nothing(void *data, const void *message) {
    (void)data;
    (void)message;
}

static int ask(Transaction *transaction, const char *path) {
    struct message request = read_file(path);
    char *method = next_line(&request);
    char *target = strchr(method, ' ');
    *target++ = 0;
    char *version = strrchr(target, ' ');
    *version = 0;
    msc_process_connection(transaction, "192.0.2.7", 40000, "198.51.100.1", 443);
    msc_process_uri(transaction, target, method, version + strlen(" HTTP/"));
    add_headers(transaction, &request, msc_add_n_request_header);
    msc_process_request_headers(transaction);
    int status = status_of(transaction);
    if (status == 0) {
        msc_append_request_body(transaction, (unsigned char *)request.rest, request.left);
        msc_process_request_body(transaction);
        status = status_of(transaction);
    }
    free(request.bytes);
    return status;
}

static void answer(Transaction *transaction, const char *path) {
    struct message response = read_file(path);
    char *line = next_line(&response);
    int status = atoi(strchr(line, ' ') + 1);
    add_headers(transaction, &response, msc_add_n_response_header);
    msc_process_response_headers(transaction, status, "HTTP 1.1");
    if (status_of(transaction) == 0) {
        msc_append_response_body(transaction, (unsigned char *)response.rest, response.left);
        msc_process_response_body(transaction);
        status_of(transaction);
    }
    free(response.bytes);
}

int main(int count, char **arguments) {
    if (count < 2 || count % 2 != 0) {
        return 2;
    }
    ModSecurity *engine = msc_init();
    msc_set_connector_info(engine, "test");
    msc_set_log_cb(engine, hear_nothing);
    RulesSet *rules = msc_create_rules_set();
    const char *error = NULL;
    if (msc_rules_add_file(rules, arguments[1], &error) < 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    for (int at = 2; at + 1 < count; at += 2) {
        char id[32];
        snprintf(id, sizeof id, "request-%d", at / 2);
        Transaction *transaction = msc_new_transaction_with_id(engine, rules, id, NULL);
        int status = ask(transaction, arguments[at]);
        if (status != 0) {
            msc_update_status_code(transaction, status);
        } else if (strcmp(arguments[at + 1], "-") != 0) {
            answer(transaction, arguments[at + 1]);
        }
        msc_process_logging(transaction);
        msc_transaction_cleanup(transaction);
    }
    msc_rules_cleanup(rules);
    msc_cleanup(engine);
    return 0;
}
