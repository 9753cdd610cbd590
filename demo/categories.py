"""What the demo's world says about each kind of thing: its three aspects and its stock of sentences.

In every sentence `{x}` is the thing ("the otter"), `{X}` the same with a capital, and `{a}`, `{b}`, `{c}`
are the thing's three values. A point is written "Label: sentence".
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """One property that every thing of a category has, with ways to ask for it and to state it."""

    label: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Category:
    """A kind of thing. `activity` is what people do with such a thing ("grow {x}")."""

    name: str
    article: str
    activity: str
    aspects: tuple[Aspect, Aspect, Aspect]
    pros: tuple[str, ...]
    cons: tuple[str, ...]
    steps: tuple[str, ...]
    tips: tuple[str, ...]


ANIMAL = Category(
    name="animal",
    article="the ",
    activity="watch {x}",
    aspects=(
        Aspect(
            "Home",
            ("Where does {x} live?", "In what kind of place does {x} live?", "Where would I find {x}?"),
            ("{X} lives in {v}.", "You can find {x} in {v}."),
        ),
        Aspect(
            "Food",
            ("What does {x} eat?", "What does {x} feed on?", "Which food does {x} like most?"),
            ("{X} eats {v}.", "{X} feeds mostly on {v}."),
        ),
        Aspect(
            "Skill",
            ("What is {x} best at?", "Which skill is {x} known for?", "What can {x} do very well?"),
            ("{X} is known for {v}.", "{X} is very good at {v}."),
        ),
    ),
    pros=(
        "Balance: It keeps life in {a} in balance.",
        "Learning: It teaches us a lot about {c}.",
        "Beauty: Many visitors enjoy its beauty.",
        "Control: It eats {b} and keeps the numbers low.",
    ),
    cons=(
        "Shy: It often hides when people come near.",
        "Damage: It can damage fences and crops.",
        "Space: It needs plenty of space to live.",
    ),
    steps=(
        "Plan: Choose a quiet spot in {a}.",
        "Wait: Sit still and keep your voice low.",
        "Look: Search for signs of {b}.",
        "Note: Write down what you see.",
    ),
    tips=(
        "Time: Go early in the morning.",
        "Distance: Keep well back and use field glasses.",
        "Food: Never offer it anything but respect.",
        "Place: Stay close to {a} for the best view.",
    ),
)

PLANT = Category(
    name="plant",
    article="the ",
    activity="grow {x}",
    aspects=(
        Aspect(
            "Place",
            ("Where does {x} grow?", "In what kind of place does {x} grow?", "Where is {x} found?"),
            ("{X} grows in {v}.", "You can find {x} in {v}."),
        ),
        Aspect(
            "Flowering",
            (
                "When does {x} flower?",
                "In which season does {x} flower?",
                "What is the flowering season of {x}?",
            ),
            ("{X} flowers in {v}.", "The season of {x} is {v}."),
        ),
        Aspect(
            "Use",
            ("What is {x} used for?", "What do people make with {x}?", "Which use does {x} have?"),
            ("{X} is used for {v}.", "People use {x} for {v}."),
        ),
    ),
    pros=(
        "Use: It is a good source for {c}.",
        "Bees: Its flowers bring bees to the garden.",
        "Easy: It grows well in {a}.",
        "Colour: It adds colour in {b}.",
    ),
    cons=(
        "Spread: It can spread faster than you like.",
        "Season: It looks best only in {b}.",
        "Water: It suffers when the watering is wrong.",
    ),
    steps=(
        "Place: Find a spot like {a}.",
        "Plant: Set it in loose soil.",
        "Water: Give it a little water each week.",
        "Harvest: Pick it in {b} for {c}.",
    ),
    tips=(
        "Soil: Copy the soil of {a}.",
        "Pruning: Cut it back once a year.",
        "Water: Water it in the evening.",
        "Timing: Watch for flowers in {b}.",
    ),
)

TOOL = Category(
    name="tool",
    article="the ",
    activity="use {x}",
    aspects=(
        Aspect(
            "Job",
            ("What is {x} used for?", "Which job does {x} do?", "What would I do with {x}?"),
            ("{X} is used for {v}.", "{X} helps with {v}."),
        ),
        Aspect(
            "Material",
            (
                "What is {x} made of?",
                "Which material is {x} made of?",
                "What is the main part of {x} made of?",
            ),
            ("{X} is made of {v}.", "The main part of {x} is made of {v}."),
        ),
        Aspect(
            "Place",
            ("Where is {x} used?", "In which place do people use {x}?", "Where would I see {x} at work?"),
            ("{X} is used in {v}.", "You will see {x} in {v}."),
        ),
    ),
    pros=(
        "Speed: It makes {a} much faster.",
        "Life: A body of {b} lasts for years.",
        "Control: It gives you good control.",
        "Price: It costs little and fits in {c}.",
    ),
    cons=(
        "Practice: It takes some practice at first.",
        "Weight: A body of {b} can feel heavy.",
        "Care: It must be cleaned after {a}.",
    ),
    steps=(
        "Check: Make sure the {b} is not cracked.",
        "Hold: Take a firm but easy grip.",
        "Work: Begin {a} with slow moves.",
        "Clean: Wipe it dry when you finish.",
    ),
    tips=(
        "Safety: Keep your fingers out of the way.",
        "Care: Store it in a dry place.",
        "Choice: Pick one with good {b}.",
        "Practice: Try {a} on a spare piece first.",
    ),
)

FOOD = Category(
    name="food",
    article="",
    activity="make {x}",
    aspects=(
        Aspect(
            "Base",
            ("What is {x} made from?", "Which base is used for {x}?", "What is the main part of {x}?"),
            ("The base of {x} is {v}.", "Cooks make {x} from {v}."),
        ),
        Aspect(
            "Taste",
            (
                "What is the taste of {x}?",
                "How would you call the taste of {x}?",
                "Which taste does {x} have?",
            ),
            ("The taste of {x} is {v}.", "Most people call {x} {v}."),
        ),
        Aspect(
            "Meal",
            ("At which meal is {x} served?", "When do people eat {x}?", "For which meal is {x} best?"),
            ("People serve {x} for {v}.", "It is usual to eat {x} for {v}."),
        ),
    ),
    pros=(
        "Taste: The {b} taste pleases many people.",
        "Simple: You need {a} and little else.",
        "Time: It fits {c} very well.",
        "Sharing: It is easy to share with friends.",
    ),
    cons=(
        "Time: Good results take patience.",
        "Habit: A {b} taste is not for everyone.",
        "Storage: It does not keep for long.",
    ),
    steps=(
        "Gather: Buy fresh {a} and salt.",
        "Mix: Stir the {a} with care.",
        "Cook: Keep the heat low and steady.",
        "Serve: Bring it to the table for {c}.",
    ),
    tips=(
        "Quality: Buy the best {a} you can find.",
        "Heat: Do not hurry the cooking.",
        "Taste: Keep it {b} and simple.",
        "Table: Offer it warm for {c}.",
    ),
)

MATERIAL = Category(
    name="material",
    article="",
    activity="work with {x}",
    aspects=(
        Aspect(
            "Source",
            ("Where does {x} come from?", "What is the source of {x}?", "From what do we get {x}?"),
            ("We get {x} from {v}.", "The source of {x} is {v}."),
        ),
        Aspect(
            "Quality",
            ("What is {x} valued for?", "Which quality does {x} have?", "What is the best quality of {x}?"),
            ("People value {x} for its {v}.", "The best quality of {x} is its {v}."),
        ),
        Aspect(
            "Use",
            ("What is {x} used for?", "What do people make with {x}?", "Which use does {x} have?"),
            ("Makers use {x} for {v}.", "The main use of {x} is {v}."),
        ),
    ),
    pros=(
        "Quality: Its {b} is hard to beat.",
        "Use: It is a fine choice for {c}.",
        "Supply: It can be won from {a}.",
        "Look: It looks good for many years.",
    ),
    cons=(
        "Cost: The best grades are expensive.",
        "Work: Winning it from {a} takes energy.",
        "Care: It needs care when used for {c}.",
    ),
    steps=(
        "Choose: Pick a piece with good {b}.",
        "Measure: Mark it before you begin.",
        "Shape: Work slowly towards {c}.",
        "Finish: Clean the edges at the end.",
    ),
    tips=(
        "Test: Check its {b} on a small piece.",
        "Storage: Keep it dry and flat.",
        "Source: Ask which {a} it came from.",
        "Waste: Save the scraps for {c}.",
    ),
)

SPORT = Category(
    name="sport",
    article="",
    activity="learn {x}",
    aspects=(
        Aspect(
            "Gear",
            ("What do you need for {x}?", "Which gear is used in {x}?", "What must I buy for {x}?"),
            ("For {x} you need {v}.", "The main gear of {x} is {v}."),
        ),
        Aspect(
            "Place",
            ("Where does {x} take place?", "In which place does {x} happen?", "Where do people do {x}?"),
            ("{X} takes place {v}.", "People do {x} {v}."),
        ),
        Aspect(
            "Training",
            ("What does {x} train?", "Which ability does {x} train?", "What do you gain from {x}?"),
            ("Doing {x} trains {v}.", "The great gain of {x} is {v}."),
        ),
    ),
    pros=(
        "Body: It builds {c} over time.",
        "Simple: All you need is {a}.",
        "Friends: You meet people who share it.",
        "Mind: It clears your head after work.",
    ),
    cons=(
        "Place: It is done only {b}.",
        "Injury: Bad form can hurt you.",
        "Cost: Good gear such as {a} costs money.",
    ),
    steps=(
        "Gear: Borrow {a} for the first weeks.",
        "Place: Try it {b} near your home.",
        "Lesson: Take one lesson with a coach.",
        "Practice: Train {c} twice a week.",
    ),
    tips=(
        "Warm up: Spend ten minutes on it.",
        "Gear: Take good care of {a}.",
        "Focus: Work on {c} before speed.",
        "Rest: Sleep well after a hard day.",
    ),
)

INSTRUMENT = Category(
    name="instrument",
    article="the ",
    activity="play {x}",
    aspects=(
        Aspect(
            "Family",
            (
                "Which family does {x} belong to?",
                "What family is {x} part of?",
                "In which family do we put {x}?",
            ),
            ("{X} belongs to the {v} family.", "{X} is part of the {v} family."),
        ),
        Aspect(
            "Playing",
            ("How is {x} played?", "In which way is {x} played?", "How do people play {x}?"),
            ("{X} is played by {v}.", "You play {x} by {v}."),
        ),
        Aspect(
            "Sound",
            (
                "What is the sound of {x}?",
                "How would you call the sound of {x}?",
                "Which sound does {x} have?",
            ),
            ("{X} has a {v} sound.", "The sound of {x} is {v}."),
        ),
    ),
    pros=(
        "Sound: Its {c} sound is a pleasure.",
        "Skill: You learn the art of {b}.",
        "Company: It fits well into a group.",
        "Joy: Even short practice feels good.",
    ),
    cons=(
        "Noise: Neighbours may not love it.",
        "Time: Good {b} takes years to learn.",
        "Price: A fine one is expensive.",
    ),
    steps=(
        "Rent: Rent one before you buy.",
        "Posture: Sit or stand up straight.",
        "Basics: Practise {b} very slowly.",
        "Song: Learn one easy song by heart.",
    ),
    tips=(
        "Daily: Play for ten minutes every day.",
        "Listen: Aim for a {c} sound.",
        "Teacher: Ask a teacher about {b}.",
        "Care: Keep it clean and dry.",
    ),
)

CITY = Category(
    name="city",
    article="",
    activity="visit {x}",
    aspects=(
        Aspect(
            "Country",
            (
                "Which country is {x} in?",
                "In which country would I find {x}?",
                "What country does {x} belong to?",
            ),
            ("{X} lies in {v}.", "{X} is a city in {v}."),
        ),
        Aspect(
            "River",
            (
                "Which river runs through {x}?",
                "What is the river of {x} called?",
                "On which river is {x} built?",
            ),
            ("The river of {x} is the {v}.", "{X} is built on the {v}."),
        ),
        Aspect(
            "Fame",
            ("What is {x} famous for?", "What is {x} known for?", "Which trade made {x} famous?"),
            ("{X} is famous for {v}.", "Many people know {x} for its {v}."),
        ),
    ),
    pros=(
        "River: You can walk along the {b}.",
        "Trade: The {c} are the best in {a}.",
        "People: The people are friendly to guests.",
        "Food: The markets are full of good food.",
    ),
    cons=(
        "Crowds: The old streets are full in summer.",
        "Prices: The famous {c} are not cheap.",
        "Weather: Fog often rises from the {b}.",
    ),
    steps=(
        "Travel: Take the slow train through {a}.",
        "Sleep: Find a room close to the {b}.",
        "Explore: Spend a day among the {c}.",
        "Return: Leave before the evening rush.",
    ),
    tips=(
        "Season: Go in spring or autumn.",
        "Walk: Follow the {b} through the old town.",
        "Buy: Bring home some {c}.",
        "Money: Carry coins of {a}.",
    ),
)

CATEGORIES = {c.name: c for c in (ANIMAL, PLANT, TOOL, FOOD, MATERIAL, SPORT, INSTRUMENT, CITY)}
