// The osprey command: arguments in, library calls, words out.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/darknet/commands.h"
#include "apps/device.h"
#include "core/error.h"
#include "core/parallel.h"
#include "data/video.h"
#include "train/process_group.h"

namespace {

// Decoding and encoding need cores beside those that detect.
bool takes_a_video(const std::vector<std::string>& words) {
  if (words.size() < 2) return false;
  if (words[0] == "detector") return words[1] == "demo";
  return words[0] == "detect" && std::any_of(words.begin() + 1, words.end(), osprey::is_video);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace osprey;
  CLI::App app{"Osprey: train detectors and classifiers from Darknet .cfg files and run them on images",
               "osprey"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", OSPREY_VERSION);
  app.footer(darknet::command_help());
  add_detect(app);
  add_classify(app);
  add_train(app);
  add_eval(app);
  add_report(app);
  add_check(app);
  add_propose(app);
  add_summary(app);
  add_keys(app);
  add_forward(app);
  add_convert(app);
  add_export(app);
  add_synth(app);
  add_tile(app);
  add_bench(app);
  int threads = 0;
  app.add_option("--threads", threads, "CPU threads (default: all cores)")->check(CLI::PositiveNumber);
  app.parse_complete_callback([&] {
    if (threads > 0) set_threads(threads);
    wait_briefly(argv);
  });

  std::string complaint;
  try {
    hand_over_to_emulation(argc, argv);
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (takes_a_video(words)) wait_asleep(argv);
    if (darknet::is_command(words)) {
      wait_briefly(argv);
      darknet::run_command(words);
      return 0;
    }
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help and --version
    complaint = std::string(e.what()) + " (osprey --help tells more)";
  } catch (const Error& e) {
    complaint = e.what();
  } catch (const std::bad_alloc&) {
    complaint = "not enough memory";
  } catch (const std::exception& e) {
    complaint = std::string("internal error: ") + e.what();
  }
  ProcessGroup::let_one_fail();
  std::fprintf(stderr, "osprey: %s\n", complaint.c_str());
  return 1;
}
