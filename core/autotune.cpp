#include "core/autotune.h"

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"

namespace osprey {
namespace {

constexpr int kFormat = 1;

// The fastest of those candidates that `eligible` admits.
std::optional<size_t> fastest(const std::vector<Candidate>& candidates, bool last_resort) {
  std::optional<size_t> best;
  double least = std::numeric_limits<double>::infinity();
  std::map<std::string, int> timed;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.last_resort != last_resort || timed[c.family] == kMostTimed || !c.prepare()) continue;
    ++timed[c.family];
    const double seconds = c.seconds();
    if (seconds < least) least = seconds, best = i;
  }
  return best;
}

std::optional<size_t> first(const std::vector<Candidate>& candidates, bool last_resort) {
  for (size_t i = 0; i < candidates.size(); ++i)
    if (candidates[i].last_resort == last_resort && candidates[i].prepare()) return i;
  return std::nullopt;
}

std::optional<size_t> remembered(const std::string& key, const std::vector<Candidate>& candidates,
                                 const AutotuneCache& cache) {
  const std::optional<std::string> name = cache.find(key);
  for (size_t i = 0; name && i < candidates.size(); ++i)
    if (candidates[i].name == *name && candidates[i].prepare()) return i;
  return std::nullopt;
}

}  // namespace

AutotuneCache::AutotuneCache(std::string path) : path_(std::move(path)), choices_(read()) {}

std::map<std::string, std::string> AutotuneCache::read() const {
  if (path_.empty() || !std::filesystem::exists(path_)) return {};
  try {
    const auto json = nlohmann::json::parse(read_file(path_, "autotuned choices"));
    if (json.at("format") != kFormat) return {};
    return json.at("choices").get<std::map<std::string, std::string>>();
  } catch (const std::exception& e) {
    warn("{}: not a file of autotuned choices, so kernels are timed again and it is replaced: {}", path_,
         e.what());
    return {};
  }
}

std::optional<std::string> AutotuneCache::find(const std::string& key) const {
  const auto found = choices_.find(key);
  return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

void AutotuneCache::keep(const std::string& key, const std::string& name) {
  choices_[key] = name;
  changed_ = true;
}

void AutotuneCache::save() {
  if (!changed_ || path_.empty()) return;
  changed_ = false;
  try {
    choices_.merge(read());  // ours win
    make_folder(std::filesystem::path(path_).parent_path().string());
    write_file(path_, nlohmann::json{{"format", kFormat}, {"choices", choices_}}.dump(1) + "\n");
  } catch (const Error& e) {
    warn("autotuned choices are not kept for the next run: {}", e.what());
  }
}

std::string autotune_path() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty() && cache[0] == '/')
    return cache + "/osprey/autotune.json";  // relative ones do not count
  return home.empty() ? "" : home + "/.cache/osprey/autotune.json";
}

bool autotune_wanted() {
  const char* value = std::getenv("OSPREY_AUTOTUNE");
  return !value || std::string_view(value) != "0";
}

std::optional<size_t> choose(const std::string& key, const std::vector<Candidate>& candidates,
                             AutotuneCache* cache) {
  if (cache)
    if (const auto known = remembered(key, candidates, *cache)) return known;
  for (bool last_resort : {false, true}) {
    const auto chosen = cache ? fastest(candidates, last_resort) : first(candidates, last_resort);
    if (!chosen) continue;
    if (cache) cache->keep(key, candidates[*chosen].name);
    return chosen;
  }
  return std::nullopt;
}

}  // namespace osprey
