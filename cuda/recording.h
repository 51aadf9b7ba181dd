// What an emulated stream is told to do: done at once, or noted down while the stream is captured.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

namespace osprey::emulation {

// A kernel, copy or fill with its arguments, which were copied when it was asked for.
using Work = std::function<void()>;

void enqueue(void* stream, Work);

// Only one stream of a host thread is captured at a time.
void begin_recording(void* stream);
std::vector<Work> end_recording();  // an Error if something was called that spoils a capture
bool recording();

// What a GPU does not do while this thread captures: an Error that names the call.
void refuse_while_recording(std::string_view call);
void spoil_recording(std::string_view call);  // the same for calls in destructors: end_recording() says so

}  // namespace osprey::emulation
