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

constexpr int kFormat = 5;  // of the file, and of the rule that made the choices in it

// Whatever disturbs a run only adds, and hardly ever the same twice.
bool steady(const LeastTimes& t) { return t.second <= kAlike * t.least; }

struct Fastest {
  size_t index;
  TimesOfCandidates unsteady;  // empty: it is the fastest; else only the first
};

std::optional<Fastest> fastest(const std::vector<Candidate>& candidates, bool last_resort,
                               TimesOfCandidates times) {
  std::vector<size_t> timed;
  std::map<std::string, int> of_family;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    if (c.last_resort != last_resort || of_family[c.family] == kMostTimed || !c.prepare()) continue;
    ++of_family[c.family];
    timed.push_back(i);
  }
  if (timed.empty()) return std::nullopt;
  const bool goes_on =
      !times.empty();  // what disturbed another run is over, or nothing is to be done about it
  for (int turn = 1; turn <= kMostTurns; ++turn) {
    for (const size_t i : timed) times[candidates[i].name].add(candidates[i].seconds());
    if (turn < kLeastTurns) continue;
    const auto cost = [&](size_t i) {
      return times[candidates[i].name].least + double(candidates[i].bytes) / kBytesPerSecond;
    };
    double least = std::numeric_limits<double>::infinity();
    bool all_steady = true;
    for (const size_t i : timed) {
      all_steady &= steady(times[candidates[i].name]);
      least = std::min(least, cost(i));
    }
    if (!all_steady && !goes_on) continue;
    const auto rank = [&](size_t i) {  // lower is better
      const bool slow = cost(i) > kAlike * least;
      return std::tuple(slow, slow ? 0 : candidates[i].bytes, cost(i));
    };
    size_t best = timed[0];
    for (const size_t i : timed)
      if (rank(i) < rank(best)) best = i;
    return Fastest{best, {}};
  }
  return Fastest{timed[0], std::move(times)};
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

AutotuneCache::AutotuneCache(std::string path) : path_(std::move(path)), contents_(read()) {}

AutotuneCache::Contents AutotuneCache::read() const {
  if (path_.empty() || !std::filesystem::exists(path_)) return {};
  try {
    const auto json = nlohmann::json::parse(read_file(path_, "autotuned choices"));
    if (json.at("format") != kFormat) return {};
    Contents contents;
    contents.choices = json.at("choices").get<std::map<std::string, std::string>>();
    const auto times = json.value("times", nlohmann::json::object());
    for (const auto& [key, candidates] : times.items())
      for (const auto& [name, pair] : candidates.items())
        contents.times[key][name] = {pair.at(0).get<double>(), pair.at(1).get<double>()};
    return contents;
  } catch (const std::exception& e) {
    warn("{}: not a file of autotuned choices, so kernels are timed again and it is replaced: {}", path_,
         e.what());
    return {};
  }
}

std::optional<std::string> AutotuneCache::find(const std::string& key) const {
  const auto found = contents_.choices.find(key);
  return found == contents_.choices.end() ? std::nullopt : std::optional(found->second);
}

void AutotuneCache::keep(const std::string& key, const std::string& name) {
  contents_.choices[key] = name;
  changed_ = true;
}

TimesOfCandidates AutotuneCache::times(const std::string& key) const {
  const auto found = contents_.times.find(key);
  return found == contents_.times.end() ? TimesOfCandidates() : found->second;
}

void AutotuneCache::keep_times(const std::string& key, TimesOfCandidates times) {
  contents_.times[key] = std::move(times);
  changed_ = true;
}

void AutotuneCache::save() {
  if (!changed_ || path_.empty()) return;
  changed_ = false;
  try {
    Contents others = read();
    contents_.choices.merge(others.choices);  // ours win
    contents_.times.merge(others.times);
    for (const auto& [key, name] : contents_.choices) contents_.times.erase(key);
    auto times = nlohmann::json::object();
    for (const auto& [key, candidates] : contents_.times)
      for (const auto& [name, t] : candidates) times[key][name] = {t.least, t.second};
    make_folder(std::filesystem::path(path_).parent_path().string());
    const nlohmann::json json{{"format", kFormat}, {"choices", contents_.choices}, {"times", times}};
    write_file(path_, json.dump(1) + "\n");
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
    } else if (auto chosen = fastest(candidates, last_resort, cache->times(key))) {
      if (chosen->unsteady.empty())
        cache->keep(key, candidates[chosen->index].name);
      else
        cache->keep_times(key, std::move(chosen->unsteady));
      return chosen->index;
    }
  }
  return std::nullopt;
}

}  // namespace osprey
