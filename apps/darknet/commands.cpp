#include "apps/darknet/commands.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/cfg.h"
#include "core/error.h"

namespace osprey::darknet {
namespace {

struct Command {
  const char* name;
  void (*run)(Arguments&);
};

constexpr Command kDetector[] = {{"train", train},
                                 {"test", test},
                                 {"demo", demo},
                                 {"map", map},
                                 {"valid", valid},
                                 {"recall", recall},
                                 {"calc_anchors", calc_anchors}};
constexpr Command kClassifier[] = {
    {"train", train_classifier}, {"predict", predict}, {"valid", valid_classifier}};
constexpr Command kPlain[] = {{"detect", detect},           {"partial", partial}, {"average", average},
                              {"rescale", rescale},         {"rgbgr", rgbgr},     {"reset", reset},
                              {"denormalize", denormalize}, {"oneoff", oneoff},   {"statistics", statistics}};

// Commands that have another name here, or none; why is what a user reads.
struct Absent {
  const char* name;
  const char* why;
};
constexpr Absent kAbsent[] = {
    {"detector draw", "drawing rectangles of one class is not there; osprey detect --out draws boxes"},
    {"detector valid2", "averaging with the mirrored image is not there: use detector valid"},
    {"yolo", "YOLO v1 has the commands of all detectors: osprey detector train|test|map|valid|recall"},
    {"coco", "YOLO v1 has the commands of all detectors: osprey detector train|test|map|valid|recall"},
    {"classifier try", "use: classifier predict"},
    {"classifier validmulti", "use: classifier valid; images are looked at in one size"},
    {"classifier validfull", "use: classifier valid; images are looked at in one size"},
    {"classifier valid10", "use: classifier valid; images are looked at once, not in ten pieces"},
    {"classifier validcrop", "use: classifier valid, which takes the middle of each image"},
    {"classifier test", "use: osprey classify CFG WEIGHTS LIST.txt --data DATA --json FILE"},
    {"classifier label", "use: osprey classify CFG WEIGHTS LIST.txt --data DATA --json FILE"},
    {"classifier demo", "videos and cameras are for detectors: make pictures of the frames and use classify"},
    {"classifier gun", "it was for one network"},
    {"classifier threat", "it was for one network"},
    {"visualize",
     "filters are not drawn: osprey forward CFG WEIGHTS --input IMAGE --dump FOLDER writes arrays"},
    {"ops", "use: osprey summary CFG"},
    {"print", "use: osprey summary CFG, and osprey statistics CFG WEIGHTS"},
    {"cfglayers", "use: osprey keys"},
    {"speed", "use: osprey bench CFG"},
    {"normalize", "batch norm without statistics is not added to a network: train with batch_normalize=1"},
    {"oneoff2", "it copied the layers of one network; use partial, and train the rest"},
    {"imtest", "it tested Darknet's own image functions"},
    {"test", "it tested Darknet's own image functions"},
    {"3d", "pictures for red and cyan glasses are not made"},
    {"mkimg", "filters are not drawn"},
    {"nightmare", "pictures are not dreamt"},
    {"rnn", "recurrent networks are not there"},
    {"vid", "recurrent networks are not there"},
    {"go", "it played Go"},
    {"cifar", "it was for one network and one set of images"},
    {"tag", "tags of images are not learnt"},
    {"captcha", "it was for one network and one set of images"},
    {"art", "it was for one network and one set of images"},
    {"dice", "it was for one network and one set of images"},
    {"compare", "pairs of images are not compared"},
    {"writing", "images are not learnt from images"},
    {"super", "images are not learnt from images"},
    {"segmenter", "images are not learnt from images"},
    {"isegmenter", "images are not learnt from images"},
    {"regressor", "numbers are not learnt from images"},
    {"lsd", "generators of images are not there"},
    {"voxel", "volumes are not there"},
};

std::string absent(const std::string& name) {
  for (const Absent& command : kAbsent)
    if (name == command.name) return command.why;
  return "";
}

template <size_t N>
const Command* find(const Command (&commands)[N], const std::string& name) {
  for (const Command& command : commands)
    if (name == command.name) return &command;
  return nullptr;
}

template <size_t N>
std::vector<std::string> names_of(const Command (&commands)[N]) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  return names;
}

// detector or classifier, and what they have.
template <size_t N>
void run_of(const Command (&commands)[N], const std::vector<std::string>& words) {
  const std::vector<std::string> known = names_of(commands);
  if (words.size() < 2) fail("{}: expected one of {}", words[0], fmt::join(known, ", "));
  const std::string name = words[0] + " " + words[1];
  if (const std::string why = absent(name); !why.empty()) fail("{}: {}", name, why);
  const Command* command = find(commands, words[1]);
  if (!command)
    fail("{}: there is no `{}`{} (there are {})", words[0], words[1], did_you_mean(words[1], known),
         fmt::join(known, ", "));
  Arguments arguments(name, {words.begin() + 2, words.end()});
  command->run(arguments);
}

}  // namespace

bool is_command(const std::vector<std::string>& words) {
  if (words.empty()) return false;
  if (words[0] == "detect")  // -h is a height in Darknet, and asks for help here
    return std::any_of(words.begin(), words.end(), [](const auto& w) { return w != "-h" && is_option(w); });
  return words[0] == "detector" || words[0] == "classifier" || find(kPlain, words[0]) ||
         !absent(words[0]).empty();
}

void run_command(const std::vector<std::string>& words) {
  if (words.back() == "--help" || words.back() == "-help") return void(fmt::print("{}\n", command_help()));
  if (words[0] == "detector") return run_of(kDetector, words);
  if (words[0] == "classifier") return run_of(kClassifier, words);
  if (const std::string why = absent(words[0]); !why.empty()) fail("{}: {}", words[0], why);
  Arguments arguments(words[0], {words.begin() + 1, words.end()});
  find(kPlain, words[0])->run(arguments);
}

std::string command_help() {
  return fmt::format(
      "Darknet's commands take Darknet's arguments and print what Darknet prints:\n"
      "  detector {}  DATA CFG [WEIGHTS] [IMAGE or VIDEO]\n"
      "  classifier {}  DATA CFG [WEIGHTS] [IMAGE]\n"
      "  {}  CFG WEIGHTS ...\n"
      "docs/from-darknet.md lists all of them.",
      fmt::join(names_of(kDetector), "|"), fmt::join(names_of(kClassifier), "|"),
      fmt::join(names_of(kPlain), "|"));
}

}  // namespace osprey::darknet
