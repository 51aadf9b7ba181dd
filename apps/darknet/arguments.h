// Darknet's way of giving arguments: options with one dash anywhere on the line, and what is left counts by
// its place.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "apps/load.h"
#include "data/dataset.h"

namespace osprey::darknet {

class Arguments {
 public:
  // `command` is what messages call it: "detector test". Options may have one dash or two, and - for _, as
  // in hank-ai's Darknet. Error: an option that no Darknet has, with the nearest one; a missing value.
  Arguments(std::string command, const std::vector<std::string>& words);

  // Each option that a command reads must be asked for before finish(), even if it is not given.
  bool flag(const char* option);
  std::string text(const char* option, const std::string& otherwise = "");
  int integer(const char* option, int otherwise, int least);
  float real(const char* option, float otherwise, float least = 0, float most = 1);
  bool given(const std::string& option) const { return given_.count(option) > 0; }

  // What is no option, by place: as many as `names`, of which the first `required` must be there; the others
  // are then empty. Error: names what is missing, or what is too much.
  std::vector<std::string> places(const std::vector<std::string>& names, size_t required) const;
  // However many there are, but at least `required` of them.
  const std::vector<std::string>& all_places(const std::string& usage, size_t required) const;

  // Options that nobody has asked for have no effect here: that is told.
  void finish() const;

  const std::string& command() const { return command_; }
  [[noreturn]] void fail(const std::string& why) const;

 private:
  std::string command_;
  std::vector<std::string> places_;
  std::map<std::string, std::string> given_;  // by name; "" for a flag
  std::set<std::string> asked_;
};

// True for a word of a command line such as -thresh, with one dash, that is one of Darknet's options.
bool is_option(const std::string& word);

// The network to run: where (-i, -gpus, -nogpu, or --device), in which precision, and with unknown keys of
// the .cfg told instead of refused, as in Darknet. Where this build and this machine have a GPU it is used,
// as by a Darknet that was built for one.
LoadOptions load_options(Arguments& arguments, const std::string& cfg, const std::string& weights);
// `processes`: becomes how many are to train, one for each GPU that is named; without it the first GPU alone
// counts.
DeviceOptions device_options(Arguments& arguments, int* processes = nullptr);

// The validation images or, as in Darknet, those of training where there are no others.
Split split_to_measure(const std::string& data);

}  // namespace osprey::darknet
