#include "data/ffmpeg.h"

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace osprey::ffmpeg {
namespace {

std::mutex g_mutex;  // decoders complain from threads of their own
std::string g_said;

void keep(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  char line[256];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string said(line);
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ' || said.back() == '.')) said.pop_back();
  if (said.empty()) return;
  std::lock_guard lock(g_mutex);
  g_said = said;
}

}  // namespace

void Free::operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
void Free::operator()(AVFormatContext* input) const { avformat_close_input(&input); }
void Free::operator()(AVFrame* frame) const { av_frame_free(&frame); }
void Free::operator()(AVPacket* packet) const { av_packet_free(&packet); }
void Free::operator()(SwsContext* context) const { sws_freeContext(context); }

void keep_quiet() { av_log_set_callback(keep); }

std::string reason(int error) {
  char meaning[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, meaning, sizeof meaning);
  std::lock_guard lock(g_mutex);
  const std::string said = std::exchange(g_said, "");
  return said.empty() ? meaning : std::string(meaning) + " (" + said + ")";
}

}  // namespace osprey::ffmpeg
