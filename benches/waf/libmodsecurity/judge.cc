// libmodsecurity as an embedding has it: batches of requests from standard input, verdicts to standard output.
//
// The protocol is described in benches/waf/harness.py. What the library could be spared is spared it: no text of the log
// is made (its callback takes the message as an object), no identifier of a transaction is drawn, no audit log is written.

#include <ctime>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <modsecurity/intervention.h>
#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

namespace {

struct Verdict {
    int status = 0;
    std::vector<int64_t> ids;
};

double seconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

int64_t processor_ns() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void logged(void *, const void *) {}

bool read_number(uint32_t *number) {
    unsigned char bytes[4];
    if (fread(bytes, 1, sizeof bytes, stdin) != sizeof bytes) return false;
    *number = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
    return true;
}

bool read_batch(std::vector<std::string> *batch) {
    uint32_t count = 0;
    if (!read_number(&count)) return false;
    batch->assign(count, {});
    for (auto &request : *batch) {
        uint32_t length = 0;
        if (!read_number(&length)) return false;
        request.resize(length);
        if (fread(request.data(), 1, length, stdin) != length) return false;
    }
    return true;
}

/// Cuts off all before a mark, and the mark; without one, everything.
std::string_view cut(std::string_view *rest, std::string_view mark) {
    const size_t at = rest->find(mark);
    const std::string_view part = rest->substr(0, at);
    rest->remove_prefix(at == std::string_view::npos ? rest->size() : at + mark.size());
    return part;
}

const unsigned char *bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char *>(text.data());
}

/// Whether the rules want the request to go no further.
bool interrupted(modsecurity::Transaction *transaction, Verdict *verdict) {
    modsecurity::ModSecurityIntervention wanted;
    modsecurity::intervention::clean(&wanted);
    const bool disruptive = transaction->intervention(&wanted);
    if (disruptive) verdict->status = wanted.status;
    modsecurity::intervention::free(&wanted);
    return disruptive;
}

void run(modsecurity::Transaction *transaction, std::string_view rest, Verdict *verdict) {
    std::string_view line = cut(&rest, "\r\n");
    const std::string method(cut(&line, " "));
    const std::string target(cut(&line, " "));
    const std::string version(line.substr(line.find('/') + 1));
    transaction->processConnection("192.0.2.7", 40000, "198.51.100.1", 443);
    transaction->processURI(target.c_str(), method.c_str(), version.c_str());
    for (line = cut(&rest, "\r\n"); !line.empty(); line = cut(&rest, "\r\n")) {
        const std::string_view name = cut(&line, ": ");
        transaction->addRequestHeader(bytes(name), name.size(), bytes(line), line.size());
    }
    transaction->processRequestHeaders();
    if (interrupted(transaction, verdict)) return;
    if (!rest.empty()) transaction->appendRequestBody(bytes(rest), rest.size());
    transaction->processRequestBody();
    interrupted(transaction, verdict);
}

void judge(modsecurity::ModSecurity *engine, modsecurity::RulesSet *rules, const std::string &request, Verdict *verdict) {
    char id[] = "0123456789abcdef";
    modsecurity::Transaction transaction(engine, rules, id, nullptr);
    run(&transaction, request, verdict);
    transaction.processLogging();
    for (const auto &message : transaction.m_rulesMessages) verdict->ids.push_back(message.m_ruleId);
}

void print(int64_t spent_ns, const std::vector<Verdict> &verdicts) {
    printf("{\"cpu_ns\":%lld,\"verdicts\":[", static_cast<long long>(spent_ns));
    const char *between = "";
    for (const auto &verdict : verdicts) {
        printf("%s[%d,[", std::exchange(between, ","), verdict.status);
        const char *comma = "";
        for (const int64_t id : verdict.ids) printf("%s%lld", std::exchange(comma, ","), static_cast<long long>(id));
        fputs("]]", stdout);
    }
    puts("]}");
    fflush(stdout);
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        fputs("usage: judge RULES\n", stderr);
        return 2;
    }
    modsecurity::ModSecurity engine;
    engine.setServerLogCb(logged, modsecurity::RuleMessageLogProperty);
    const double begin = seconds(CLOCK_MONOTONIC), begin_cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    modsecurity::RulesSet rules;
    if (rules.loadFromUri(arguments[1]) < 0) {
        fprintf(stderr, "%s\n", rules.getParserError().c_str());
        return 2;
    }
    printf("{\"load_s\":%.6f,\"load_cpu_s\":%.6f}\n", seconds(CLOCK_MONOTONIC) - begin,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu);
    fflush(stdout);
    std::vector<std::string> batch;
    while (read_batch(&batch)) {
        std::vector<Verdict> verdicts(batch.size());
        const int64_t before = processor_ns();
        for (size_t at = 0; at < batch.size(); ++at) judge(&engine, &rules, batch[at], &verdicts[at]);
        print(processor_ns() - before, verdicts);
    }
    return 0;
}
