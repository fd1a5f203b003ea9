"""What callers say: everyday English telephone sentences, one turn to a line, to judge the judge of completeness.

Every gap between two words is a place where a caller may pause; the end of the line is the end of the turn. A third of
each topic is held out: its lines are for the figures, and the rules are not written with them at hand.
"""

from __future__ import annotations

BOOKINGS = """
Hello, I would like to make an appointment for next week.
I'd like to book a table for four on Friday evening.
Do you have anything available on Saturday morning?
Could I move my appointment to Thursday at half past ten?
I need to cancel my booking for tonight.
We're going to be a bit late, is that all right?
Can you fit me in sometime this afternoon?
I was hoping to see Doctor Patel before the end of the month.
Tuesday at three would be perfect.
I'm calling to confirm my reservation.
My husband made a booking last week, but he can't find the email.
Is it possible to add one more person to our reservation?
We need a double room for three nights with breakfast.
I'd rather come in the morning if that's possible.
What's the earliest appointment you have?
Let's say Wednesday the fourteenth.
I have an appointment at two and I'm stuck in traffic.
Can I bring my daughter along?
Would it be cheaper if we stayed during the week?
I'd like to check out an hour later on Sunday.
It's for a birthday party, so we need something quiet.
Please put me on the waiting list.
The other day I booked a haircut with Marco.
I can come any time after five.
Does the room have a view of the sea?
I need somebody to look at my boiler as soon as possible.
We'd like to sit outside if the weather is nice.
Do I have to pay a deposit?
I think half past six is too early for us.
Can you send me a confirmation by text message?
The appointment is for my mother, not for me.
I booked online yesterday and I haven't heard anything since.
"""

COMPLAINTS = """
The washing machine you delivered yesterday doesn't work.
I've been waiting for almost two hours.
Nobody called me back, and this is the third time I'm calling.
My internet has been down since this morning.
I ordered a blue one and you sent me a green one.
You charged me twice for the same order.
The driver left the package in the rain and everything is wet.
I want to speak to a manager.
This is really not acceptable.
I was told that the engineer would be here by noon.
The heating makes a strange noise whenever I turn it on.
I returned the shoes three weeks ago and I still don't have my money back.
The website keeps telling me that my password is wrong.
There's water coming through the ceiling.
I don't understand why my bill is so high this month.
Your colleague promised to call me back yesterday.
The food was cold when it arrived.
If this isn't fixed by tomorrow, I'm going to cancel my contract.
I can't hear you very well.
Somebody has used my card in another country.
The man I talked to last week said it would be free.
It stopped working after the last update.
I've already tried that and it didn't help.
The parcel that you sent me was open when it got here.
We have no hot water in the whole building.
My neighbour's alarm has been going off all night.
I never got the refund you promised me.
The screen went black and now it won't turn on.
I'm not happy with the way I was treated.
One of the tickets is missing from the envelope.
"""

QUESTIONS = """
What time do you close today?
How much is a ticket to the airport?
Where can I park my car?
Do you deliver on Sundays?
Are you open on bank holidays?
Can you tell me where my parcel is?
Is there a chemist near the station?
How long does it take to get a new card?
Who am I speaking to?
Could you say that again, please?
Which bus goes to the hospital?
Why was my payment rejected?
Do you know if the museum is open on Mondays?
Can I pay by credit card?
What does the small one cost?
When will my order arrive?
Is breakfast included in the price?
Could you tell me how I can reset my password?
What do I need to bring with me?
Have you got anything cheaper?
How do I get to your office from the main station?
What's the difference between the two plans?
Are dogs allowed in the restaurant?
Would you mind spelling that for me?
Can I change the delivery address after I have paid?
How many people work in your company?
Is this the right number for the sales department?
Does it come with a warranty?
What happens if I miss the flight?
Sorry, what did you say?
Do you speak Spanish?
What is this charge of twenty pounds for?
Can I talk to a real person?
Did you get the email I sent you this morning?
When is the next train to Manchester?
Am I allowed to cancel at any time?
"""

STATEMENTS = """
I'm calling about the job you advertised.
I've lost my wallet and I need to block my cards.
I just moved here from Germany.
I want to change my address.
I need a new battery for my phone.
My car broke down on the motorway near Leeds.
I'm looking for a present for my father.
I don't know my customer number, I'm afraid.
I'm sorry, I didn't catch that.
It's the second door on the left after the bakery.
I have a question about my last invoice.
We have two children and a dog.
I'm allergic to nuts, so please leave them out.
I forgot my password.
I want to order a large pizza with mushrooms and extra cheese.
I would like to open a savings account.
My son has a fever and he has been coughing since Monday.
I took the medicine this morning, but it made me feel sick.
I live on the third floor, and there is no lift.
Just leave it with the neighbours.
You can reach me in the evening after seven.
I think there has been a mistake.
Let me check with my wife and call you back.
I would prefer to get it in writing.
I got a letter from you saying that my insurance has expired.
The code doesn't work.
I want the cheapest one you have.
I'll take the red one.
Somebody stole my bike last night in front of the library.
I'd like to return a jacket that I bought last week.
We're moving to a bigger flat at the end of June.
My flight was cancelled and I need another one.
I am not sure whether I need a visa.
I already paid that bill in March.
Give me a moment to find my glasses.
Please tell him that I called.
I'm trying to get hold of Mrs. Robinson in accounts.
I used to be a customer of yours a few years ago.
There's something wrong with the brakes.
Everything was fine until I restarted it.
I'd like two coffees and a piece of apple pie.
You'll find it behind the counter.
My battery is almost empty, can you call me back on my landline?
What I really need is somebody who can explain the contract to me.
Before we start, I'd like to know what this costs.
I'm just checking whether you've received my application.
"""

ADDRESSES = """
It's twelve Baker Street in London.
I live at forty two Church Lane, just behind the school.
The address is flat three, 18 Queens Road.
We're in the yellow house opposite the church.
Please send it to my office and not to my home.
The delivery address is different from the billing address.
It's the building next to the post office.
I'm staying at the Grand Hotel, room 214.
Turn right at the traffic lights and then it's on your left.
My new address is 5 Mill Road, Cambridge.
I moved to Oak Avenue in January.
You can park in the yard behind our house.
The street is called Saint Johns Hill.
I live in a small village outside of Bristol.
Take the second exit at the roundabout.
It's the same address as last time.
The entrance is around the corner.
Ring the bell that says Miller.
"""

NAMES = """
My name is Sarah Thompson.
This is Peter Jones from Greenfield Logistics.
Hi, it's Maria again.
I'm Doctor Williams from the clinic in York.
My surname is Kowalski.
You can call me Tom.
The booking is under the name of Henderson.
It's in my wife's name, Angela Brown.
Can I speak to Mister Okafor, please?
Everybody calls me Liz, but it's Elizabeth on my passport.
My first name is spelled with a K.
I'm calling on behalf of my grandmother.
Her name is Julia Sanders and she was born in 1950.
The contract runs under my company's name.
His daughter is called Emily.
"""

NUMBERS_IN_SENTENCES = """
I paid forty five pounds for it.
It cost two hundred and thirty euros.
We are seven people, two of them children.
I've had the phone for about eighteen months.
The train leaves at twenty past nine.
My daughter is four and my son is eleven.
The meter says three thousand one hundred and six.
I need six chairs and two tables by the first of May.
It's on page 14 of the manual.
I was born on the third of August 1985.
The flight is on the 21st of December at 6 in the morning.
They want to charge me 300 dollars a month.
I have a budget of five thousand pounds.
It weighs about two kilos.
I'd like to transfer fifty pounds to my sister.
Flight number BA 117 to New York.
The last four digits are 4 2 4 2.
My pin is 9 3 1 5.
I'm on bus number 38 and it's going the wrong way.
She is thirty two weeks pregnant.
"""

ANSWERS = """
Yes.
No.
Yes, please.
No, thank you.
Yeah, that's right.
That's correct.
No, that's wrong.
Sure, go ahead.
Of course.
Okay, that sounds good.
Not really.
I don't think so.
Yes, I do.
No, I'm not.
Absolutely.
Friday at nine.
Tomorrow morning, please.
The second one.
Two adults and one child.
A large one, please.
Next Tuesday.
In the afternoon.
By credit card.
Around seven o'clock.
Just me.
None of them.
Maybe next week.
At the main station.
Whatever is cheapest.
I'm not sure.
I have no idea.
Either is fine.
Nothing else, thanks.
Yes, on Monday at ten, please.
No, the other one.
As soon as possible.
It doesn't matter.
The blue one with the long sleeves.
For my wife and me.
Both, please.
Yes, that would be great.
Well, it depends on the price.
"""

COURTESY = """
Hello?
Good morning.
Hi, how are you?
Thank you very much.
Thanks, that's all I needed.
Thank you for your help, goodbye.
Okay, bye.
Have a nice day.
You too, bye.
No problem at all.
Are you still there?
Can you hear me?
Sorry, I was on mute.
Hang on, there's somebody at the door.
That's very kind of you.
Great, see you on Friday then.
Never mind, I'll call back later.
I'm sorry to bother you again.
No worries, take your time.
Perfect, I'll see you tomorrow.
"""

DISFLUENT = """
Um, I wanted to ask whether you have any, uh, vegetarian dishes.
So, I was wondering if you could help me with my tax return.
Well, you know, I've been a customer for ten years.
I mean, it's not really my fault.
It's about, um, the invoice from last month.
Right, so the thing is that my printer doesn't print any more.
I need, let me see, four tickets for the evening show.
Can I, can I get the number of the taxi company?
Actually, could we do it on Wednesday instead?
Uh, I guess so.
It's, uh, it's a Toyota.
I want to, no, wait, I need to speak to the billing department.
Okay, so what you're saying is that I have to pay again?
Hmm, I'm not sure I understand the question.
I'd like a, what's it called, a cappuccino.
"""

REQUESTS = """
Put me through to the service desk, please.
Can you turn the music down?
Could you email me the contract?
Please call me back when you know more.
I want you to cancel everything.
Just tell me what I have to do.
Would you please check whether it has been paid?
Send me the link again.
Can you repeat the last part?
I need you to transfer me to somebody else.
Stop calling me.
Could you hold on for a second?
Tell me more about the second option.
Please remove my number from your list.
Can somebody pick me up at the airport at seven?
Could you read that back to me?
Speak a little slower, please.
Wake me up at six tomorrow morning.
Can you recommend a good restaurant near here?
Please cancel my subscription at the end of the month.
"""

DICTATED = """
07700 900123
0 7 7 0 0 9 0 0 1 2 3
oh seven seven double oh, nine double oh, one two three
My number is oh seven nine four six, one eight double five, three oh two.
It's 555 0142, area code 212.
You can reach me on 020 7946 0958.
Sure, it's zero two oh, seven nine four six, oh one double eight.
My mobile is plus four four, seven seven double oh, nine hundred, four five six.
Four one five, five five five, oh one nine nine.
The card number is 4242 4242 4242 4242.
four nine two nine, one two three four, five six seven eight, nine oh one two
It's um five five five, um, oh one two three, area code four one five
Order number 8 8 4 1 2 7 0 5.
My account number is three one nine, two two six, four eight.
The reference is 7 7 4 1 9 2 6 3.
"""
"""Numbers said one digit at a time or in groups: only their length tells where they end."""

SPELLED = """
S M I T H
Kowalski, K O W A L S K I
My last name is Schmidt, that's S C H M I D T
B for Bravo, R, O, W, N for November
T as in Tango, H, O, M
J-O-N-E-S
it's spelled M A C K A Y
SW1A 1AA
Postcode is M 1 4 B T
"""

TOPICS: dict[str, str] = {
    "bookings": BOOKINGS,
    "complaints": COMPLAINTS,
    "questions": QUESTIONS,
    "statements": STATEMENTS,
    "addresses": ADDRESSES,
    "names": NAMES,
    "numbers": NUMBERS_IN_SENTENCES,
    "answers": ANSWERS,
    "courtesy": COURTESY,
    "disfluent": DISFLUENT,
    "requests": REQUESTS,
}


def lines(topic: str) -> list[str]:
    return topic.strip().splitlines()


def sentences(*, held_out: bool) -> list[str]:
    """Every third line of each topic is held out. Dictations are not among them: see :data:`DICTATED`."""
    return [
        line for topic in TOPICS.values() for index, line in enumerate(lines(topic)) if (index % 3 == 2) is held_out
    ]
