// Every sub-command of `osprey`, one file each. A function adds its options to the command line and a
// callback that does the work; what goes wrong is thrown as an Error and printed by main().
#pragma once

#include <CLI/CLI.hpp>

namespace osprey {

void add_detect(CLI::App& app);
void add_classify(CLI::App& app);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_report(CLI::App& app);
void add_check(CLI::App& app);
void add_propose(CLI::App& app);
void add_summary(CLI::App& app);
void add_keys(CLI::App& app);
void add_forward(CLI::App& app);
void add_convert(CLI::App& app);
void add_export(CLI::App& app);
void add_synth(CLI::App& app);
void add_tile(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace osprey
