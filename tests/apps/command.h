// Runs the osprey command and keeps what it says.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace osprey {

struct Said {
  int status = -1;  // the exit status; 128 + n for an end by signal n
  std::string out, err;
};

// `in` is what it reads on stdin.
Said osprey_command(const std::vector<std::string>& arguments, const std::string& in = "");

// stdin, stdout and stderr are files.
pid_t start_osprey(const std::vector<std::string>& arguments, const std::string& out, const std::string& err,
                   const std::string& in = "/dev/null");
int wait_for(pid_t process);  // the status, as in Said

// The lines of a text, without empty ones and warnings.
std::vector<std::string> lines_of(const std::string& text);

// Exit status 1, nothing but one line "osprey: ..." after notes and warnings, with `part` in it.
void expect_refused(const std::vector<std::string>& arguments, const std::string& part);

}  // namespace osprey
