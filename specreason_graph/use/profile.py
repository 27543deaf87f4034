"""What a chat model here can do, as LangChain asks it: an agent takes its `response_format` by schema because of it."""

from __future__ import annotations

from langchain_core.language_models import ModelProfile

from specreason_graph.models.presets import Preset

_PROFILE = ModelProfile(
    text_inputs=True,
    audio_inputs=False,
    video_inputs=False,
    pdf_inputs=False,
    text_outputs=True,
    image_outputs=False,
    audio_outputs=False,
    video_outputs=False,
    reasoning_output=True,
    tool_calling=True,
    tool_choice=True,
    tool_call_streaming=True,
    structured_output=True,
    temperature=True,
)
"""Tools and a schema go together. How long a context is, only its server knows: give `profile={"max_input_tokens": …}`
where middleware needs it."""


def profile_of(preset: Preset | None) -> ModelProfile:
    """What is known before a server is asked.

    Agents leave images out where `image_inputs` is false, and send them where it is not said.

    Args:
        preset: that of the chat model's pair; None: not known yet.
    """
    sees = None if preset is None else preset.sees
    return _PROFILE if sees is None else {**_PROFILE, "image_inputs": sees}
