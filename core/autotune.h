// Which of several ways to compute the same is fastest is found out once, by the clock, and remembered on
// disk.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace osprey {

// The two least times of a candidate, in seconds.
struct LeastTimes {
  double least = std::numeric_limits<double>::infinity(), second = least;

  void add(double seconds) {
    second = std::clamp(seconds, least, second);
    least = std::min(least, seconds);
  }
};
using TimesOfCandidates = std::map<std::string, LeastTimes>;  // by their names

// The choices of earlier runs, and what was measured where that was not enough for one: {"format": 1,
// "choices": {key: name}, "times": {key: {name: [least, second]}}}. A key names all that a choice depends on:
// operation, shape, types, card, versions of the libraries. So a new version finds nothing, and chooses anew.
class AutotuneCache {
 public:
  // Reads the file, if there is one. A broken one is ignored with a warning, and replaced by the next save().
  // With an empty path choices live as long as the object.
  explicit AutotuneCache(std::string path);

  std::optional<std::string> find(const std::string& key) const;
  void keep(const std::string& key, const std::string& name);
  TimesOfCandidates times(const std::string& key) const;  // empty: none
  void keep_times(const std::string& key, TimesOfCandidates);
  // Also keeps what other programs have saved since. A file that cannot be written is a warning.
  void save();

 private:
  struct Contents {
    std::map<std::string, std::string> choices;
    std::map<std::string, TimesOfCandidates> times;  // of keys without a choice
  };
  Contents read() const;

  std::string path_;
  Contents contents_;
  bool changed_ = false;
};

// $XDG_CACHE_HOME/osprey/autotune.json, else ~/.cache/osprey/autotune.json; empty if neither is known.
std::string autotune_path();

// OSPREY_AUTOTUNE=0 in the environment: nothing is timed or remembered, the library's first proposal is
// taken.
bool autotune_wanted();

struct Candidate {
  std::string name, family;
  bool last_resort = false;
  std::function<bool()> prepare;    // makes it ready, and runs it once; false if it turns out that it cannot
  std::function<double()> seconds;  // of one run, prepared; asked several times
  int64_t bytes = 0;                // that it keeps
};

// The index of the candidate to take: the one remembered, else the fastest of the first kMostTimed of each
// family, which is remembered; or of those that the clock can hardly tell from it (kAlike) the one that keeps
// the fewest bytes. To its time is added what the bytes it keeps cost the others (kBytesPerSecond): as many
// of theirs leave the caches, and memory brings them again. They take turns, since whatever else the machine
// does disturbs for a while, until the two least times of each are nearly equal; where kMostTurns do not
// bring that, the first is taken and the times are remembered: with kLeastTurns more the next run decides.
// Those of the last resort are tried only if no other can be prepared. With a null cache the first that can
// be prepared is taken. Nothing if none can.
constexpr int kMostTimed = 8;
constexpr int kLeastTurns = 3, kMostTurns = 12;
constexpr double kAlike = 1.05;
constexpr double kBytesPerSecond = 50e9;
std::optional<size_t> choose(const std::string& key, const std::vector<Candidate>&, AutotuneCache*);

}  // namespace osprey
