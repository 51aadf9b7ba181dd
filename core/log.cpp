#include "core/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <set>

namespace osprey {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto log = std::make_shared<spdlog::logger>("osprey", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    log->set_pattern("%v");
    return log;
  }();
  return *instance;
}

}  // namespace

void log_nothing() { logger().set_level(spdlog::level::off); }

void log_warnings_as(const std::string& process) {
  logger().set_level(spdlog::level::warn);
  logger().set_pattern(process + ": %v");
}

// As text, and not as a format with arguments: for that spdlog would bring all of fmt's functions once more.
void log_info(const std::string& text) { logger().log(spdlog::level::info, spdlog::string_view_t(text)); }

void log_warning(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> told;
  std::lock_guard lock(mutex);
  if (!told.insert(text).second) return;
  logger().log(spdlog::level::warn, spdlog::string_view_t("warning: " + text));
}

}  // namespace osprey
