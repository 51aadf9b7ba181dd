// Every sub-command of `osprey`, one file each. A function adds its options to the command line and a callback
// that does the work; what goes wrong is thrown as an Error and printed by main().
#pragma once

#include <CLI/CLI.hpp>

namespace osprey {

void add_eval(CLI::App& app);
void add_synth(CLI::App& app);

}  // namespace osprey
