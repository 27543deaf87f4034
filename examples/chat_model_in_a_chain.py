"""python examples/chat_model_in_a_chain.py: SpecReason as a LangChain chat model, streamed and with a typed answer.

It runs on the `SPECREASON_…` servers, or else on the embedded pair.
"""

from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field

from specreason_graph import ChatSpecReason, Settings


class Seats(BaseModel):
    """How many seats there are in a train."""

    all: int = Field(description="seats in the whole train")
    free: int = Field(description="those that nobody sits on")


def main() -> None:
    model = ChatSpecReason(settings=Settings(reasoning_budget=512))
    prompt = ChatPromptTemplate([("system", "You are careful with numbers."), ("user", "{question}")])
    question = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"

    for chunk in (prompt | model).stream({"question": question}):
        print(chunk.additional_kwargs.get("reasoning_content", ""), chunk.text, sep="", end="", flush=True)
        if chunk.usage_metadata:  # the last one
            run = chunk.response_metadata["specreason"]
            print(
                f"\n\n{run['steps']} steps, {run['acceptance_rate']} of the drafts accepted; {chunk.usage_metadata}\n"
            )

    typed = prompt | model.with_structured_output(Seats)
    print(typed.invoke({"question": question}))


if __name__ == "__main__":
    main()
