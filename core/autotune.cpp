#include "core/autotune.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <tuple>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"

namespace osprey {
namespace {

constexpr int kFormat = 1;

// The two least times of a candidate.
struct Times {
  double least = std::numeric_limits<double>::infinity(), second = least;

  void add(double seconds) {
    second = std::clamp(seconds, least, second);
    least = std::min(least, seconds);
  }
  // Whatever disturbs a run only adds, and hardly ever the same twice.
  bool steady() const { return second <= kAlike * least; }
};

struct Fastest {
  size_t index;
  bool steady;
};

std::optional<Fastest> fastest(const std::vector<Candidate>& candidates, bool last_resort) {
  std::vector<size_t> timed;
  std::map<std::string, int> of_family;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.last_resort != last_resort || of_family[c.family] == kMostTimed || !c.prepare()) continue;
    ++of_family[c.family];
    timed.push_back(i);
  }
  if (timed.empty()) return std::nullopt;
  std::vector<Times> times(timed.size());
  for (int turn = 1; turn <= kMostTurns; ++turn) {
    for (size_t i = 0; i < timed.size(); ++i) times[i].add(candidates[timed[i]].seconds());
    if (turn < kLeastTurns) continue;
    if (!std::all_of(times.begin(), times.end(), [](const Times& t) { return t.steady(); })) continue;
    double least = times[0].least;
    for (const Times& t : times) least = std::min(least, t.least);
    const auto rank = [&](size_t i) {  // lower is better
      const bool slow = times[i].least > kAlike * least;
      return std::tuple(slow, slow ? 0 : candidates[timed[i]].bytes, times[i].least);
    };
    size_t best = 0;
    for (size_t i = 1; i < timed.size(); ++i)
      if (rank(i) < rank(best)) best = i;
    return Fastest{timed[best], true};
  }
  return Fastest{timed[0], false};
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
    if (!cache) {
      if (const auto chosen = first(candidates, last_resort)) return chosen;
    } else if (const auto chosen = fastest(candidates, last_resort)) {
      if (chosen->steady) cache->keep(key, candidates[chosen->index].name);
      return chosen->index;
    }
  }
  return std::nullopt;
}

}  // namespace osprey
